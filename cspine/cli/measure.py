"""`cspine measure LABELS CT OUT`: the measurements of vertebrae that are labelled already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.label_input import scheme_option
from cspine.io.console import table

if TYPE_CHECKING:
    from cspine.pipeline.measured_labels import MeasuredLabels

#: What the terminal shows of each vertebra; measurements.csv has all.
_SHOWN = (
    ("Volume ml", "volume_ml"),
    ("Height mm", "body_height_middle_mm"),
    ("Depth mm", "body_depth_mm"),
    ("Canal mm", "canal_diameter_mm"),
    ("Trabecular HU", "trabecular_hu"),
)


@click.command(name="measure")
@click.argument("labels", metavar="LABELS", type=click.Path(path_type=Path))
@click.argument("ct", metavar="CT", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@scheme_option
@click.option("--series-uid", help="Use this series of the CT folder.  [default: the one that the SEG names]")
@click.option("--sex", type=click.Choice(["M", "F"]), help="For published values.  [default: that of the header]")
@click.option("--prior", type=click.Path(path_type=Path), help="Output folder of an earlier run: report changes since.")
@click.option("--overwrite", is_flag=True, help="Replace existing results in OUT.")
def command(
    labels: Path,
    ct: Path,
    out: Path,
    scheme: str | None,
    series_uid: str | None,
    sex: str | None,
    prior: Path | None,
    overwrite: bool,
) -> None:
    """Measure the vertebrae of LABELS in their CT; write the values into OUT.

    LABELS is a NIfTI file, a DICOM Segmentation of any system, the output folder of a run, or a folder with one mask
    per vertebra. CT is a folder or .zip of DICOM, or a NIfTI file.

    \b
    OUT/report/measurements.csv   one row per value, with uncertainty, published range and change
    OUT/report/measurements.json  values, vertebrae, levels without a label, changes and findings
    OUT/dicom/measurements.dcm    DICOM SR, TID 1500, with references to the SEG (for a DICOM CT)

    docs/reference/measurements.md defines every value. A value outside a published range is not a diagnosis.
    """  # noqa: D301
    from cspine.io.output import StudyOutput
    from cspine.pipeline.label_files import find_labels
    from cspine.pipeline.labelled import read_labelled
    from cspine.pipeline.measured_labels import measure_file

    read = (find_labels(labels, scheme)[0], ct if ct.is_file() else None, prior)
    with StudyOutput(out, overwrite=overwrite, inputs=read):
        pass  # what cannot be written is reported before anything is read
    measured = measure_file(read_labelled(labels, scheme), ct, series_uid=series_uid, sex=sex or "", prior=prior)
    files = measured.save(out, overwrite=overwrite)
    _print(measured)
    for file in files:
        click.echo(str(file))


def _print(measured: MeasuredLabels) -> None:
    rows = [
        [v.level, *("" if (value := v.values.get(name)) is None else f"{value:.1f}" for _, name in _SHOWN),
         "truncated" if v.touches_edge else ""]
        for v in measured.spine.vertebrae
    ]  # fmt: skip
    table("Vertebrae measured", ("Level", *(title for title, _ in _SHOWN), "Remark"), rows)
    if measured.not_found:
        click.echo(f"no label: {', '.join(measured.not_found)}")
    for finding in measured.findings:
        click.echo(f"{finding.code}: {finding.sentence}")
    for each in measured.values:
        if each.is_outside and each.published is not None:
            click.echo(f"outside a published range: {each.site} {each.quantity.name} {each.value:g}")
    for change in measured.changes:
        if change.exceeds_uncertainty:
            click.echo(f"change: {change.site} {change.quantity.name} {change.difference:+g}")
