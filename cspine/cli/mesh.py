"""`cspine mesh`: a finite-element model of the vertebrae in any labels."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.cli.format_options import fe_format_option
from cspine.cli.label_input import ct_input, label_options
from cspine.core.errors import MeshError
from cspine.io.console import table


@click.command()
@label_options
@fe_format_option
@click.option("--edge", default=1.5, show_default=True, help="Edge length of elements, mm.")
@click.option("--order", default="1", show_default=True, type=click.Choice(["1", "2"]), help="4 or 10 nodes.")
@click.option("--facet-gap", default=0.5, show_default=True, help="Distance of vertebrae at facets, mm.")
@click.option("--disc-gap", default=0.5, show_default=True, help="Distance of their bodies, mm.")
@click.option("--discs", is_flag=True, help="Add discs between end plates, tied to both.")
@click.option("--cortical", default=1.0, show_default=True, help="Depth of the cortical shell, mm.")
@click.option("--materials", default=40, show_default=True, help="Groups of elements by modulus, with --ct.")
@click.option(
    "--density-line", nargs=2, type=float, metavar="SLOPE INTERCEPT",
    help="Density in g/cm3 = SLOPE x HU + INTERCEPT, of a phantom.  [default: 0.001122 0.047, Rho 1995]",
)  # fmt: skip
@click.option("--levels", metavar="LEVELS", help="Mesh only these levels, for example C3-C5.  [default: all]")
@click.option(
    "--compression", default=0.0, metavar="PERCENT",
    help="Also write a compression test of each vertebra between its end plates.",
)  # fmt: skip
def command(
    labels: Path, out: Path, scheme: str | None, ct: Path | None, series_uid: str | None, **options: object
) -> None:
    """Write a finite-element model of the vertebrae in LABELS.

    LABELS is a .nii.gz, a DICOM SEG, the output folder of a run, or a folder with one mask per vertebra.

    Tetrahedra in LPS millimetres, N, MPa and tonnes; vertebrae do not intersect. With --ct, the modulus of each element
    follows from its Hounsfield units. elements.json has quality and sets: docs/guide/surfaces.md.
    """
    from cspine.cli.levels import wanted_levels
    from cspine.surfaces.fe_settings import FeSettings, parse_fe_formats

    levels, line = options["levels"], options["density_line"]
    settings = FeSettings(
        formats=parse_fe_formats(str(options["fe_formats"])),
        edge_mm=_number(options["edge"]),
        order=int(str(options["order"])),
        facet_gap_mm=_number(options["facet_gap"]),
        disc_gap_mm=_number(options["disc_gap"]),
        discs=bool(options["discs"]),
        cortical_mm=_number(options["cortical"]),
        materials=int(str(options["materials"])),
        density_line=(line[0], line[1]) if isinstance(line, tuple) else FeSettings().density_line,
        levels=wanted_levels(str(levels), "--levels") if levels is not None else None,
        compression=_number(options["compression"]),
    )
    from cspine.pipeline.geometry import write_element_files
    from cspine.pipeline.labelled import read_labelled

    labelled = read_labelled(labels, scheme)
    with ct_input(ct, labelled, series_uid) as image:
        model = write_element_files(image, labelled.labels, settings, out, ends_with_labels=labelled.record is not None)
    rows = [
        [
            part.name,
            str(part.quality.nodes),
            str(part.quality.elements),
            f"{part.quality.min_scaled_jacobian:.3f}",
            f"{100 * part.quality.poor_share:.2f} %",
            f"{part.quality.volume_mm3 / 1000:.2f}",
            str(len(part.regions)),
        ]
        for part in model.parts
    ]
    columns = ("Part", "Nodes", "Elements", "Min. scaled Jacobian", "Below 0.2", "Volume ml", "Node sets")
    table("Finite elements", columns, rows)
    click.echo(str(out))
    if model.rejected:
        raise MeshError("; ".join(f"{level} {reason}" for level, reason in model.rejected.items()))


def _number(value: object) -> float:
    return float(str(value))
