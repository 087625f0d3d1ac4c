"""`cspine audit`: results of a model on CTs without labels, checked against normal anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cspine.core.errors import SomeStudiesFailedError, UsageError
from cspine.io.console import progress, table
from cspine.io.tables import counted

if TYPE_CHECKING:
    from cspine.study.audits.audit import AuditRecord


@click.command(name="audit")
@click.option("--images", required=True, type=click.Path(path_type=Path), help="Folder of CT images (NIfTI).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--organs", type=click.Path(path_type=Path), help="Folder of organ labels, X_oar.nii.gz.")
@click.option(
    "--organ-labels", default="cord=2", show_default=True, metavar="NAME=N,...",
    help="Labels of cord, mandible, larynx, brainstem in the organ files.",
)  # fmt: skip
@click.option("--model", help="Name of an installed model package, or its folder.  [default: cervical-demo]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--agreement/--no-agreement", default=True, show_default=True,
    help="Segment each image three more times: shifted, cropped and with noise.",
)  # fmt: skip
@click.option(
    "--pseudo-labels", type=click.Path(path_type=Path), help="Folder for an nnU-Net raw dataset of the cases that pass."
)
@click.option(
    "--require",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Required share of cases with a complete column in order.",
)
@click.option("--recompute", is_flag=True, help="Recompute every case.")
@click.pass_context
def command(
    context: click.Context,
    images: Path,
    out: Path,
    organs: Path | None,
    organ_labels: str,
    model: str | None,
    device: str,
    agreement: bool,
    pseudo_labels: Path | None,
    require: float | None,
    recompute: bool,
) -> None:
    """Check a model on real CTs that have no labels.

    Each X_0000.nii.gz or X_ct.nii.gz of --images (or X.nii.gz if no file has such a name) is segmented and cleaned
    as in `cspine run`, and checked: order and completeness of the levels, volumes, spacing, symmetry, agreement
    with results on altered images and, with --organs, the ring around the cord and the height of other organs.
    docs/guide/evaluation.md defines each check.

    \b
    OUT/sheet.png       one row of pictures per case: look here first (sheet-1.png, ... for more than 16)
    OUT/audit.csv       one row per case: levels, checks with their numbers, failed checks
    OUT/levels.csv      one row per case and level
    OUT/summary.json    counts of each check
    OUT/labels/         vertebrae of each case;  OUT/auxiliary/, OUT/cases/: state for the next call

    The same command resumes where it stopped: a case is recomputed only if its image, organs, the model, a setting,
    the kind of device or the code of cspine changed, or with --recompute. A case with unreadable files, or whose
    segmentation fails, is listed; the others are processed, and the exit code is 11.

    With --require 0.9 the exit code is 14 if fewer than 90 % of the cases have all levels in view, in order.
    --pseudo-labels takes cases that pass order, complete, volumes, spacing and, if measured, cord_ring, agreement
    and the heights of the organs; the dataset has imagesTr, labelsTr and dataset.json with the labels of
    `cspine train`.
    """  # noqa: D301
    if organs is None and context.get_parameter_source("organ_labels") is not ParameterSource.DEFAULT:
        raise UsageError("--organ-labels requires --organs", advice="Give --organs with the folder of X_oar.nii.gz.")
    from cspine.cli.models import wanted_model
    from cspine.inference.settings import InferenceSettings
    from cspine.models.package import load_package
    from cspine.study.audits.audit import AuditSettings
    from cspine.study.audits.audit_cases import parse_organ_labels
    from cspine.study.audits.run_audit import AuditTask, check_audit, require_share, run_audit

    settings = AuditSettings(InferenceSettings(device=device), agreement, parse_organ_labels(organ_labels))
    task = AuditTask(images, out, settings, organs, pseudo_labels, recompute)
    check_audit(task)
    package = load_package(wanted_model(model))
    with progress("cases") as on_progress:
        outcome = run_audit(task, package, on_progress)
    records = outcome.records
    _show(records, package.identity.title)
    for path in outcome.files:
        click.echo(f"{path}")
    if outcome.pseudo_labelled is not None:
        click.echo(f"{outcome.pseudo_labelled} pseudo-labelled cases in {pseudo_labels}")
    for record in records:
        if record.error:
            click.echo(f"failed: {record.case} {record.error}")
    if require is not None:
        require_share(records, require)
    if broken := sum(bool(record.error) for record in records):
        raise SomeStudiesFailedError(f"{broken} of {counted(len(records), 'case')} failed")


def _show(records: Sequence[AuditRecord], title: str) -> None:
    from cspine.study.audits.audit import CHECK_NAMES
    from cspine.study.audits.audit_report import counts

    rows = []
    for name in CHECK_NAMES:
        passed, failed, other = counts(records, name)
        share = f"{passed / (passed + failed):.0%}" if passed + failed else ""
        rows.append([name, str(passed), str(failed), str(other), share])
    everything = sum(not record.failed and not record.error for record in records)
    rows.append(["all checks", str(everything), str(len(records) - everything), "", f"{everything / len(records):.0%}"])
    table(f"{title}: {counted(len(records), 'case')}", ("Check", "Pass", "Fail", "n/a", "Share passed"), rows)
