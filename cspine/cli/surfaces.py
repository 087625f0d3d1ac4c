"""`cspine surfaces`: the surfaces of vertebrae in any labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from cspine.cli.format_options import surface_format_option
from cspine.cli.label_input import ct_input, label_options
from cspine.io.console import table


@click.command()
@label_options
@surface_format_option
@click.option("--ras", is_flag=True, help="Coordinates in RAS instead of LPS; DICOM objects stay in LPS.")
@click.option("--gap", default=0.0, show_default=True, type=click.FloatRange(0, 5), help="Distance of vertebrae, mm.")
def command(
    labels: Path,
    out: Path,
    scheme: str | None,
    ct: Path | None,
    series_uid: str | None,
    surface_formats: str,
    ras: bool,
    gap: float,
) -> None:
    """Write the surface of each vertebra in LABELS into a folder.

    LABELS is a .nii.gz, a DICOM SEG, the output folder of a run, or a folder with one mask per vertebra.

    Surfaces are closed, face outwards and do not overlap; one file per vertebra, and vertebrae.glb with all of them.
    surfaces.json says how well each keeps to its label: docs/guide/surfaces.md.
    """
    from cspine.surfaces.settings import SurfaceSettings, parse_formats

    settings = SurfaceSettings(parse_formats(surface_formats), ras, gap)
    settings.require_source(has_dicom=ct is not None and not ct.name.endswith((".nii", ".nii.gz")))
    from cspine.pipeline.geometry import write_surface_files
    from cspine.pipeline.labelled import read_labelled
    from cspine.pipeline.settings import RunSettings

    labelled = read_labelled(labels, scheme)
    with ct_input(ct, labelled, series_uid) as image:
        found = write_surface_files(
            image,
            labelled.labels,
            replace(RunSettings(), surfaces=settings),
            out,
            out,
            ends_with_labels=labelled.record is not None,
        )
    rows = [
        [
            each.surface.vertebra.name,
            str(len(each.surface.triangles)),
            f"{each.fidelity.volume_mm3 / 1000:.2f}",
            f"{100 * each.fidelity.volume_change:+.2f} %",
            f"{each.fidelity.distance_p95_voxels:.2f}",
            "" if each.is_within_limits else "beyond the limits",
        ]
        for each in found
    ]
    table("Surfaces", ("Level", "Triangles", "Volume ml", "Change", "Distance voxels, 95 %", "Remark"), rows)
    click.echo(str(out))
