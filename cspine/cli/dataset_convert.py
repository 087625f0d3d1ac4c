"""`cspine dataset convert`: cases of public data sets become an nnU-Net dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.console import progress, table
from cspine.errors import SomeStudiesFailedError, UsageError

if TYPE_CHECKING:
    from cspine.study.datasets.convert import Outcome
    from cspine.study.datasets.sources.found import Found

_FOLDER = click.Path(path_type=Path)


@click.command(name="convert")
@click.option("--out", required=True, type=_FOLDER, help="Folder of the dataset, named like Dataset501_Cervical.")
@click.option("--label-set", required=True, type=click.Choice(["cervical", "full-spine"]), help="C1..T1, or C1..L6.")
@click.option("--auxiliary", is_flag=True, help="Keep a class of what lies below: T2 and below, or the sacrum.")
@click.option("--verse2019", type=_FOLDER, help="VerSe 2019, subject based or in the older layout.")
@click.option("--verse2020", type=_FOLDER, help="VerSe 2020, likewise.")
@click.option("--ctspine1k", type=_FOLDER, help="CTSpine1K: NAME_seg.nii.gz, and the images that come with it.")
@click.option("--hnscc", type=_FOLDER, help="HNSCC-3DCT-RT: DICOM; its masks are in CTSpine1K.")
@click.option("--msd-colon", type=_FOLDER, help="Task10_Colon of the Decathlon; its masks are in CTSpine1K.")
@click.option("--totalsegmentator", type=_FOLDER, help="TotalSegmentator v2.")
@click.option("--exclude", type=_FOLDER, help="CSV file (case, reason) of the cases that are left out.")
@click.option("--write-exclusions", type=_FOLDER, help="Write such a file with every doubtful case, to be edited.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; as many as there are cores where left out.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many cases of each data set: a trial.")
def command(
    out: Path,
    label_set: str,
    auxiliary: bool,
    verse2019: Path | None,
    verse2020: Path | None,
    ctspine1k: Path | None,
    hnscc: Path | None,
    msd_colon: Path | None,
    totalsegmentator: Path | None,
    exclude: Path | None,
    write_exclusions: Path | None,
    jobs: int | None,
    limit: int | None,
) -> None:
    """Convert cases to OUT/imagesTr, OUT/labelsTr and OUT/dataset.json, with one table of all: OUT/cases.csv.

    Voxels, spacing and orientation stay as the source has them. Labels that do not lie on the voxels of their image are
    refused; nothing is resampled. OUT/audit.csv lists what is doubtful about labels (levels in disorder, pieces,
    volumes, gaps); it excludes nothing by itself: --write-exclusions proposes, a person edits, --exclude decides.

    A case that cannot be converted is listed in OUT/failures.csv; the others are done, and the exit code is 11. The
    same command goes on after an interrupt, and adds the cases of further data sets to those that are there.
    """
    from cspine.machine import usable_cores
    from cspine.study.datasets.convert import Conversion, convert
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.exclusions import propose, read_exclusions

    reasons = read_exclusions(exclude) if exclude is not None else None
    found = _found(verse2019, verse2020, ctspine1k, hnscc, msd_colon, totalsegmentator, limit)
    conversion = Conversion(DatasetFolder(out), label_set, auxiliary, jobs or usable_cores())
    _tell_needs(found, out)
    with progress("cases") as tell:
        outcome = convert(found, conversion, reasons, tell)
    _show(outcome, found, out)
    if write_exclusions is not None:
        named = propose(write_exclusions, outcome.rows)
        click.echo(f"{write_exclusions} names {named} doubtful case(s): edit it, then give it to --exclude")
    if outcome.failures:
        for case, code, message in outcome.failures[:20]:
            click.echo(f"failed: {case} [{code}] {message}")
        raise SomeStudiesFailedError(
            f"{len(outcome.failures)} of {len(found.cases) + len(found.broken)} cases failed",
            advice=f"{out / 'failures.csv'} names each with its reason; the same command tries them again.",
        )


def _found(
    verse2019: Path | None,
    verse2020: Path | None,
    ctspine1k: Path | None,
    hnscc: Path | None,
    msd_colon: Path | None,
    totalsegmentator: Path | None,
    limit: int | None,
) -> Found:
    from cspine.study.datasets.sources import ctspine1k as ctspine1k_layout
    from cspine.study.datasets.sources import totalsegmentator as totalsegmentator_layout
    from cspine.study.datasets.sources import verse as verse_layout
    from cspine.study.datasets.sources.found import Found

    if (hnscc is not None or msd_colon is not None) and ctspine1k is None:
        raise UsageError("--hnscc and --msd-colon hold images alone", advice="Give --ctspine1k with their masks.")
    parts = []
    if verse2019 is not None:
        parts.append(verse_layout.find(verse2019, 2019))
    if verse2020 is not None:
        parts.append(_without_repeats(verse_layout.find(verse2020, 2020), parts))
    if ctspine1k is not None:
        parts.append(ctspine1k_layout.find(ctspine1k, hnscc, msd_colon))
    if totalsegmentator is not None:
        parts.append(totalsegmentator_layout.find(totalsegmentator))
    if not parts:
        raise UsageError("no data set was given", advice="Give one or more, for example --verse2019 FOLDER.")
    found = Found()
    for part in parts:
        part.cases = part.cases[:limit]
        found.add(part)
    return found


def _without_repeats(later: Found, earlier: list[Found]) -> Found:
    """VerSe 2020 holds scans of VerSe 2019 again."""
    there = {case.case.partition("_")[2] for part in earlier for case in part.cases}
    repeated = [case for case in later.cases if case.case.partition("_")[2] in there]
    if repeated:
        later.cases = [case for case in later.cases if case not in repeated]
        later.skip("VerSe 2020: the scan is in VerSe 2019 already", len(repeated))
    return later


def _tell_needs(found: Found, out: Path) -> None:
    size = sum(_size(case.image) for case in found.cases)
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    # Files that are compressed already stay as large; DICOM shrinks to about half.
    click.echo(
        f"{len(found.cases)} cases, {size / 1e9:.1f} GB of images: about as much on disk; {free / 1e9:.0f} GB free."
    )
    if size > free:
        click.echo("warning: the disk may become full; what is whole by then is kept", err=True)


def _size(place: Path) -> int:
    files = (p for p in place.rglob("*") if p.is_file()) if place.is_dir() else iter([place])
    return sum(path.stat().st_size for path in files)


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
        f"{out.name}: {outcome.done} converted, {outcome.kept} kept",
        ("Source", "Cases", "Patients", "Doubtful", "Excluded"),
        rows,
    )
    for reason, count in found.skipped.items():
        click.echo(f"skipped: {count} x {reason}")
    for note in outcome.notes:
        click.echo(f"note: {note}")
    click.echo(f"Table of all cases: {out / 'cases.csv'}; doubts about labels: {out / 'audit.csv'}")
