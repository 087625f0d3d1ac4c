"""`cspine synthesize`: labelled CT cases of necks and spines, evaluation sets, truncated copies of CTs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cspine.io.console import progress
from cspine.io.tables import counted
from cspine.study.synthesis.set_names import ARTICULATED, SETS

if TYPE_CHECKING:
    from cspine.study.synthesis.synthesize import Content
    from cspine.study.synthesis.write_cases import WrittenCase

_SET_COUNT = 50
_SPINE_SPACING = (3.0, 3.0, 3.0)
_NOT_WITH_A_SET = ("seed", "spacing", "extent", "complete_neck")
_NOT_WITH_COPIES = ("anatomy", "atlas", "meshes", "seed", "dicom")
_OF_NECKS = ("atlas", "anatomies", "set_name", "extent", "complete_neck")
_OF_SPINES = ("meshes", "view")


@click.command(name="synthesize")
@click.option(
    "--anatomy",
    type=click.Choice(["neck", "articulated", "spine"]),
    default="neck",
    show_default=True,
    help="Necks from the label atlas; necks of several people's vertebrae; or full spines: docs/guide/full-spine.md.",
)
@click.option("--atlas", type=click.Path(path_type=Path), help="For necks: folder of the anatomical label atlas.")
@click.option(
    "--anatomies",
    type=click.Path(path_type=Path),
    help="For articulated necks, angio and worn: folder with one folder of vertebrae per person (C1.obj ...).",
)
@click.option("--cache", type=click.Path(path_type=Path), help="For necks: cache folder, for faster later calls.")
@click.option(
    "--meshes",
    type=click.Path(path_type=Path),
    help="For spines: folder of the atlas's meshes.  [default: simple solids only]",
)
@click.option(
    "--view",
    default="complete",
    show_default=True,
    metavar="VIEW",
    help="For spines: complete, cervical, random, or the first and the last level, for example T11-L5.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(list(SETS)),
    help="A fixed evaluation set with a scanner that differs from training: docs/guide/evaluation-sets.md.",
)
@click.option("--count", type=click.IntRange(1, 10_000), help="Number of cases.  [default: 1; for a set 50]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the first case.")
@click.option(
    "--spacing", nargs=3, type=click.FloatRange(0.2, 10), default=(0.8, 0.8, 1.25), metavar="X Y Z",
    help="Voxel size in millimetres.  [default: 0.8 0.8 1.25; for spines 3 3 3]",
)  # fmt: skip
@click.option(
    "--extent", nargs=3, type=click.FloatRange(20, 600), metavar="X Y Z",
    help="Field of view in mm.  [default: random]",
)  # fmt: skip
@click.option(
    "--complete-neck/--anywhere", default=True, show_default=True, help="Field of view centred on C1..T1, or anywhere."
)
@click.option("--dicom", is_flag=True, help="Also write a DICOM CT series of each case.")
@click.option(
    "--truncate",
    type=click.Path(path_type=Path),
    help="Copy the CTs (NIfTI) of this folder instead, blank below each level of --labels.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="With --truncate: folder of NAME.nii.gz.")
@click.pass_context
def command(context: click.Context, /, out: Path, **options: Any) -> None:
    """Generate labelled CT cases of necks or spines: OUT/images, OUT/labels and, with --dicom, OUT/dicom.

    The same seed and settings give the same case. Training uses seeds from 1000000 on; test with smaller ones. Labels
    are VerSe's numbers; spines also have the sacrum (26).

    With --set, the number of a case alone determines its content, which OUT/cases.csv describes. Cases that this
    version of cspine has finished in OUT are kept. The sets angio and worn require --anatomies.

    --truncate CTS --labels LABELS copies real CTs: for each level from C3 to T1 in the labels, one copy that is
    blank below it. OUT/cases.csv lists the remaining levels.
    """
    from cspine.study.synthesis.synthesize import synthesize

    content = _content(context, options)
    with progress("images" if options["truncate"] is not None else "cases") as on_progress:
        cases = synthesize(content, out, progress=on_progress)
    kept = sum(case.kept for case in cases)
    click.echo(f"{_described(cases, options)} in {out}" + (f", {kept} of them kept" if kept else ""))


def _described(cases: Sequence[WrittenCase], options: Mapping[str, Any]) -> str:
    if options["truncate"] is not None:
        subjects = len({case.subject for case in cases})
        return f"{counted(len(cases), 'copy', 'copies')} of {counted(subjects, 'image')}"
    of_set = f" of the {options['set_name']} set" if options["set_name"] is not None else ""
    return f"{counted(len(cases), 'case')}{of_set}"


def _content(context: click.Context, options: Mapping[str, Any]) -> Content:
    """Return what the options ask for; click.UsageError if they do not go together."""
    _check(context, options)
    from cspine.study.evaluation.write_blanked import BlankedCopies
    from cspine.study.synthesis.write_necks import Necks
    from cspine.study.synthesis.write_set import EvaluationSet
    from cspine.study.synthesis.write_spines import Spines

    if options["truncate"] is not None:
        return BlankedCopies(options["truncate"], options["labels"])
    count, seed, dicom = options["count"], options["seed"], options["dicom"]
    if options["anatomy"] == "spine":
        spacing = options["spacing"] if _given(context, ("spacing",)) else _SPINE_SPACING
        return Spines(options["view"], options["meshes"], count or 1, seed, spacing, dicom)
    sources = options["atlas"], options["anatomies"], options["cache"]
    if options["set_name"] is not None:
        return EvaluationSet(options["set_name"], *sources, count or _SET_COUNT, dicom)
    spacing, extent, complete_neck = options["spacing"], options["extent"] or None, options["complete_neck"]
    return Necks(*sources, count or 1, seed, spacing, extent, complete_neck, dicom)


def _check(context: click.Context, options: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    if (options["truncate"] is None) != (options["labels"] is None):
        raise click.UsageError("--truncate and --labels require each other")
    if options["truncate"] is not None:
        if given := _given(context, _NOT_WITH_COPIES):
            raise click.UsageError(f"--truncate copies images: omit {', '.join(given)}")
        return
    if options["anatomy"] == "spine":
        if given := _given(context, _OF_NECKS):
            raise click.UsageError(f"{', '.join(given)} cannot be used for spines")
        return
    if given := _given(context, _OF_SPINES):
        raise click.UsageError(f"{', '.join(given)} cannot be used for necks")
    if options["atlas"] is None:
        raise click.UsageError("Missing option '--atlas'.")
    if options["set_name"] is not None and (given := _given(context, _NOT_WITH_A_SET)):
        raise click.UsageError(f"--set determines the content of its cases: omit {', '.join(given)}")
    articulated = options["anatomy"] == "articulated" or options["set_name"] in ARTICULATED
    if articulated != (options["anatomies"] is not None):
        raise click.UsageError(
            "articulated necks require --anatomies" if articulated else "--anatomies is for articulated necks only"
        )


def _given(context: click.Context, names: Iterable[str]) -> list[str]:
    """Return the options that the user gave, of the parameters of these names."""
    return [
        "--set" if name == "set_name" else f"--{name.replace('_', '-')}"
        for name in names
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
