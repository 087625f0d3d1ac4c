"""`cspine dataset convert`: cases of public data sets become an nnU-Net dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.core.errors import SomeStudiesFailedError
from cspine.io.console import progress, table
from cspine.io.tables import counted
from cspine.io.walk import files_below

if TYPE_CHECKING:
    from cspine.study.datasets.convert import Outcome
    from cspine.study.datasets.sources.found import Found

_FOLDER = click.Path(path_type=Path)


@click.command(name="convert")
@click.option("--out", required=True, type=_FOLDER, help="Folder of the dataset, named like Dataset501_Cervical.")
@click.option("--label-set", required=True, type=click.Choice(["cervical", "full-spine"]), help="C1..T1, or C1..L6.")
@click.option("--auxiliary", is_flag=True, help="Add a class for the structures below: T2 and below, or the sacrum.")
@click.option("--verse2019", type=_FOLDER, help="VerSe 2019, subject based or in the older layout.")
@click.option("--verse2020", type=_FOLDER, help="VerSe 2020, likewise; scans that are also in 2019 are omitted.")
@click.option("--ctspine1k", type=_FOLDER, help="CTSpine1K: NAME_seg.nii.gz, and its own images.")
@click.option("--hnscc", type=_FOLDER, help="HNSCC-3DCT-RT: DICOM; its masks are in CTSpine1K.")
@click.option("--msd-colon", type=_FOLDER, help="Task10_Colon of the Decathlon; its masks are in CTSpine1K.")
@click.option(
    "--images", type=_FOLDER, multiple=True,
    help="More images of CTSpine1K: COLONOG (DICOM), the Decathlon's liver task, COVID-19. May be repeated.",
)  # fmt: skip
@click.option("--totalsegmentator", type=_FOLDER, help="TotalSegmentator v2.")
@click.option(
    "--demographics", type=_FOLDER, help="CSV file (id, patient, age, sex) with values that the data sets lack."
)
@click.option("--exclude", type=_FOLDER, help="CSV file (case, reason) of the cases to exclude.")
@click.option(
    "--corrections", type=_FOLDER, help="CSV file (case, level, corrected) of levels that a data set names wrongly."
)
@click.option("--write-exclusions", type=_FOLDER, help="Write such a file with all doubtful cases, for review.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: as many as cores and memory allow]")
@click.option("--limit", type=click.IntRange(1), help="Only the first cases of each data set, for a trial.")
def command(
    out: Path,
    label_set: str,
    auxiliary: bool,
    verse2019: Path | None,
    verse2020: Path | None,
    ctspine1k: Path | None,
    hnscc: Path | None,
    msd_colon: Path | None,
    images: tuple[Path, ...],
    totalsegmentator: Path | None,
    demographics: Path | None,
    exclude: Path | None,
    corrections: Path | None,
    write_exclusions: Path | None,
    jobs: int | None,
    limit: int | None,
) -> None:
    """Convert cases to OUT/imagesTr, OUT/labelsTr and OUT/dataset.json, with a table of all: OUT/cases.csv.

    Voxels, spacing and orientation are those of the source. Labels that do not lie on the voxels of their image are
    refused; nothing is resampled. A case without a vertebra of the label set has a row in the table and no files.

    \b
    OUT/cases.csv      one row per case: source, patient, age, sex, spacing, levels in view, doubts, exclusion
    OUT/audit.csv      one row per doubt about labels (order, fragments, volumes, gaps) and per truncated vertebra
    OUT/failures.csv   the cases that could not be converted, with the reason

    Doubts exclude nothing by themselves: --write-exclusions proposes exclusions, a reviewer edits the file, and
    --exclude applies it. --corrections renames levels that a data set names wrongly. docs/guide/datasets.md describes
    the layouts and the doubts.

    A case that fails leaves no files; the others are converted, and the exit code is 11. The same command resumes
    after an interrupt, and adds the cases of further data sets to the existing ones.
    """  # noqa: D301
    from cspine.study.datasets.convert import convert, default_jobs
    from cspine.study.datasets.convert_case import Conversion
    from cspine.study.datasets.corrections import read_corrections
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.exclusions import propose, read_exclusions
    from cspine.study.datasets.sources.collect import Folders, collect

    reasons = read_exclusions(exclude) if exclude is not None else None
    folders = Folders(
        verse2019, verse2020, ctspine1k, hnscc, msd_colon, totalsegmentator, images=images, demographics=demographics
    )
    found = collect(folders, limit)
    corrected = read_corrections(corrections) if corrections is not None else None
    conversion = Conversion(DatasetFolder(out), label_set, auxiliary, jobs or default_jobs(), corrected)
    _report_needs(found, out)
    with progress("cases") as on_progress:
        outcome = convert(found, conversion, reasons, on_progress)
    _show(outcome, found, out)
    if limit is None:
        _report_unlisted_cases(outcome, found)
    if write_exclusions is not None and write_exclusions.exists():
        click.echo(f"note: {write_exclusions} exists and is not changed: remove it to write new proposals")
    elif write_exclusions is not None:
        named = propose(write_exclusions, outcome.rows)
        click.echo(f"{write_exclusions} lists {counted(named, 'doubtful case')}: edit it, then give it to --exclude")
    if outcome.failures:
        for case, code, message in outcome.failures[:20]:
            click.echo(f"failed: {case} [{code}] {message}")
        raise SomeStudiesFailedError(
            f"{len(outcome.failures)} of {counted(len(found.cases) + len(found.broken), 'case')} failed",
            advice=f"{out / 'failures.csv'} lists each with its reason; the same command retries them.",
        )


def _report_unlisted_cases(outcome: Outcome, found: Found) -> None:
    from cspine.study.datasets.convert import unlisted_cases

    others = unlisted_cases(outcome.rows, found)
    if others:
        click.echo(
            f"note: {counted(len(others), 'case')} of an earlier call no longer in the data sets, for example "
            f"{others[0]}, and still used: list them in --exclude, or convert into a new folder"
        )


def _report_needs(found: Found, out: Path) -> None:
    size = sum(_size(case.image) for case in found.cases)
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    # Compressed files keep their size; DICOM shrinks to about half.
    click.echo(
        f"{counted(len(found.cases), 'case')}, {size / 1e9:.1f} GB of images: about the same amount on disk; "
        f"{free / 1e9:.0f} GB free."
    )
    if size > free:
        click.echo("warning: the disk may become full; complete cases are then kept", err=True)


def _size(place: Path) -> int:
    files = files_below(place) if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())


def _show(outcome: Outcome, found: Found, out: Path) -> None:
    sources: dict[str, list[int]] = {}
    for row in outcome.rows:
        counts = sources.setdefault(row.source, [0, 0, 0, 0])
        counts[0] += 1
        counts[1] += bool(row.doubts)
        counts[2] += bool(row.excluded)
    patients = {source: {row.patient for row in outcome.rows if row.source == source} for source in sources}
    rows = [[name, str(c[0]), str(len(patients[name])), str(c[1]), str(c[2])] for name, c in sorted(sources.items())]
    table(
        f"{out.name}: {outcome.done} converted, {outcome.cached} kept",
        ("Source", "Cases", "Patients", "Doubtful", "Excluded"),
        rows,
    )
    for reason, count in found.skipped.items():
        click.echo(f"skipped: {count} x {reason}")
    for note in (*found.notes, *outcome.notes):
        click.echo(f"note: {note}")
    click.echo(f"Table of all cases: {out / 'cases.csv'}; doubts about labels: {out / 'audit.csv'}")
