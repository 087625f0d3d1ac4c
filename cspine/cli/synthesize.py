"""`cspine synthesize`: labelled CT cases from the anatomical atlas, as NIfTI and as DICOM."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.cli.console import progress


@click.command(name="synthesize")
@click.option("--atlas", required=True, type=click.Path(path_type=Path), help="Folder of the anatomical label atlas.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the first case.")
@click.option(
    "--spacing", nargs=3, type=click.FloatRange(0.2, 5), default=(0.8, 0.8, 1.25), show_default=True, metavar="X Y Z",
    help="Voxel size in millimetres.",
)  # fmt: skip
@click.option(
    "--extent", nargs=3, type=click.FloatRange(20, 600), metavar="X Y Z",
    help="Field of view in mm; random where left out.",
)  # fmt: skip
@click.option("--whole-neck/--anywhere", default=True, show_default=True, help="Centre on C1..T1, or lie anywhere.")
@click.option("--dicom", is_flag=True, help="Write a DICOM CT series of each case too.")
def command(
    atlas: Path,
    out: Path,
    count: int,
    seed: int,
    spacing: tuple[float, float, float],
    extent: tuple[float, float, float] | None,
    whole_neck: bool,
    dicom: bool,
) -> None:
    """Make labelled CT cases of necks from the atlas: OUT/images, OUT/labels and, with --dicom, OUT/dicom.

    The same seed and settings give the same case. Training uses seeds from 1000000 on; test with smaller ones.
    """
    from cspine import images
    from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
    from cspine.synthesis.atlas import load_atlas
    from cspine.synthesis.case import CaseSettings, synthesize_case

    fields = load_atlas(atlas)
    internal = min(1.0, max(0.6, min(spacing)))
    settings = CaseSettings(spacing, extent or None, whole_neck, internal)
    with progress("cases") as tell:
        for done, case_seed in enumerate(range(seed, seed + count), 1):
            name = f"neck_{case_seed:05d}"
            ct, labels = synthesize_case(fields, case_seed, settings)
            images.write(out / "images" / f"{name}_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
            images.write(out / "labels" / f"{name}.nii.gz", labels.labels_zyx, labels.affine_lps)
            if dicom:
                write_ct_series(
                    ct, out / "dicom" / name, CtSeriesDescription(uid_seed=f"cspine synthesize {case_seed} {settings}")
                )
            tell(done, count)
    click.echo(f"{count} case(s) in {out}")
