"""`cspine synthesize`: labelled CT cases of necks and spines, evaluation sets, truncated copies of CTs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cspine.io.console import progress

if TYPE_CHECKING:
    from cspine.core.volumes import CtVolume, LabelVolume
    from cspine.study.synthesis.atlas import Atlas
    from cspine.study.synthesis.neck.people import People

_SET_COUNT = 50
_NEED_PEOPLE = ("angio", "worn")
_NOT_WITH_A_SET = {"seed": "--seed", "spacing": "--spacing", "extent": "--extent", "whole_neck": "--whole-neck"}
_OF_NECKS = {
    **{"atlas": "--atlas", "anatomies": "--anatomies", "set_name": "--set", "extent": "--extent"},
    "whole_neck": "--whole-neck",
}
_OF_SPINES = {"meshes": "--meshes", "view": "--view"}


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
@click.option(
    "--cache", type=click.Path(path_type=Path), help="For necks: folder with fields that are kept for the next call."
)
@click.option(
    "--meshes",
    type=click.Path(path_type=Path),
    help="For spines: folder of the atlas's meshes.  [default: simple solids only]",
)
@click.option(
    "--view",
    default="whole",
    show_default=True,
    metavar="VIEW",
    help="For spines: whole, cervical, random, or the first and the last level, for example T11-L5.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(["ordinary", "hard", "angio", "worn"]),
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
    "--whole-neck/--anywhere", default=True, show_default=True, help="Field of view centred on C1..T1, or anywhere."
)
@click.option("--dicom", is_flag=True, help="Also write a DICOM CT series of each case.")
@click.option(
    "--blank-from",
    type=click.Path(path_type=Path),
    help="Copy the CTs (NIfTI) of this folder instead, blank below each level of --labels.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="With --blank-from: folder of NAME.nii.gz.")
@click.pass_context
def command(
    context: click.Context,
    anatomy: str,
    atlas: Path | None,
    anatomies: Path | None,
    cache: Path | None,
    meshes: Path | None,
    view: str,
    out: Path,
    set_name: str | None,
    count: int | None,
    seed: int,
    spacing: tuple[float, float, float],
    extent: tuple[float, float, float] | None,
    whole_neck: bool,
    dicom: bool,
    blank_from: Path | None,
    labels: Path | None,
) -> None:
    """Generate labelled CT cases of necks or spines: OUT/images, OUT/labels and, with --dicom, OUT/dicom.

    The same seed and settings give the same case. Training uses seeds from 1000000 on; test with smaller ones. Labels
    are VerSe's numbers; spines also have the sacrum (26).

    With --set, the number of a case alone determines its content, which OUT/cases.csv describes. Cases that this
    version of cspine has finished in OUT are kept. The sets angio and worn require --anatomies.

    --blank-from CTS --labels LABELS copies real CTs: for each level from C3 to T1 in the labels, one copy that is
    blank below it. OUT/cases.csv lists the remaining levels.
    """
    if (blank_from is None) != (labels is None):
        raise click.UsageError("--blank-from and --labels require each other")
    if blank_from is not None and labels is not None:
        from cspine.cli.synthesize_blank import write_blanked

        if given := _given(context, {name: f"--{name}" for name in ("anatomy", "atlas", "meshes", "seed", "dicom")}):
            raise click.UsageError(f"--blank-from copies images: omit {', '.join(given)}")
        write_blanked(blank_from, labels, out)
        return
    if anatomy == "spine":
        given = _given(context, _OF_NECKS)
        if given:
            raise click.UsageError(f"{', '.join(given)} cannot be used for spines")
        if context.get_parameter_source("spacing") is ParameterSource.DEFAULT:
            spacing = (3.0, 3.0, 3.0)
        _write_spines(meshes, view, spacing, range(seed, seed + (count or 1)), out, dicom=dicom)
        return
    if given := _given(context, _OF_SPINES):
        raise click.UsageError(f"{', '.join(given)} cannot be used for necks")
    if atlas is None:
        raise click.UsageError("Missing option '--atlas'.")
    if set_name is not None:
        given = _given(context, _NOT_WITH_A_SET)
        if given:
            raise click.UsageError(f"--set determines the content of its cases: omit {', '.join(given)}")
    articulated = anatomy == "articulated" or set_name in _NEED_PEOPLE
    if articulated != (anatomies is not None):
        raise click.UsageError(
            "articulated necks require --anatomies" if articulated else "--anatomies is for articulated necks only"
        )
    from cspine.study.synthesis.atlas import load_atlas
    from cspine.study.synthesis.neck.people import load_people

    people = load_people(atlas, anatomies, cache) if articulated else None
    fields = load_atlas(atlas, cache)
    if set_name is not None:
        _write_set(Sources(fields, people), set_name, out, count or _SET_COUNT, dicom)
        return
    seeds = range(seed, seed + (count or 1))
    internal = min(1.0, max(0.6, min(spacing)))
    if people is None:
        from cspine.study.synthesis.case import CaseSettings, synthesize_case

        case = CaseSettings(spacing, extent or None, whole_neck, internal_mm=internal)
        of_neck = (lambda seed: f"cspine synthesize {seed} {case}") if dicom else None
        _write_cases(out, "neck", seeds, lambda seed: synthesize_case(fields, seed, case), of_neck)
        return
    from cspine.study.synthesis.neck.case import NeckSettings, synthesize_neck

    training = people.chosen(evaluation=False)
    view = "neck" if whole_neck else "anywhere"
    neck = NeckSettings(spacing, internal, view, extent or None)
    uid_seed = (lambda seed: f"cspine synthesize articulated {seed} {neck}") if dicom else None
    _write_cases(out, "articulated", seeds, lambda seed: synthesize_neck(fields, training, seed, neck), uid_seed)


def _write_cases(
    out: Path,
    name: str,
    seeds: range,
    synthesize: Callable[[int], tuple[CtVolume, LabelVolume]],
    uid_seed: Callable[[int], str] | None,
) -> None:
    """Write one case per seed; also as DICOM if there is a seed for its UIDs."""
    with progress("cases") as on_progress:
        for done, seed in enumerate(seeds, 1):
            ct, labels = synthesize(seed)
            _write_case(out, f"{name}_{seed:05d}", ct, labels, uid_seed(seed) if uid_seed is not None else None)
            on_progress(done, len(seeds))
    click.echo(f"{len(seeds)} case(s) in {out}")


def _given(context: click.Context, options: dict[str, str]) -> list[str]:
    """Return the options that the user gave."""
    return [
        option for name, option in options.items() if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]


def _write_spines(
    meshes: Path | None, view: str, spacing: tuple[float, float, float], seeds: range, out: Path, *, dicom: bool
) -> None:
    """Write one spine per seed."""
    from cspine.study.synthesis.spine.case import SpineSettings, synthesize_spine
    from cspine.study.synthesis.spine.forms import parametric_forms
    from cspine.study.synthesis.spine.mesh_forms import mesh_forms

    settings = SpineSettings(spacing, _view(view))
    forms = parametric_forms() if meshes is None else mesh_forms(meshes)
    uid_seed = (lambda seed: f"cspine synthesize spine {seed} {forms.name} {settings}") if dicom else None
    _write_cases(out, "spine", seeds, lambda seed: synthesize_spine(forms, seed, settings), uid_seed)


def _view(text: str) -> str | tuple[str, str]:
    """Return a view of `SpineSettings`: a name, or the first and the last level."""
    from cspine.core.anatomy import parse_levels

    if text in ("whole", "cervical", "random"):
        return text
    levels = parse_levels(text)
    return levels[0].name, levels[-1].name


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources of the cases of a set."""

    atlas: Atlas
    people: People | None


def _write_set(sources: Sources, set_name: str, out: Path, count: int, dicom: bool) -> None:
    """Write the first cases of a set and the table that describes them; keep finished cases."""
    from cspine.study.synthesis.evaluation_sets import describe, set_case, synthesize_set_case
    from cspine.study.synthesis.set_table import read_table, write_table

    table = out / "cases.csv"
    rows = read_table(table)
    kept = 0
    with progress("cases") as on_progress:
        for number in range(count):
            case = set_case(set_name, number)
            if case.name in rows and all(path.exists() for path in _paths(out, case.name, dicom)):
                kept += 1
            else:
                ct, labels = synthesize_set_case(sources.atlas, case, sources.people)
                _write_case(out, case.name, ct, labels, f"cspine synthesize {case.name}" if dicom else None)
                rows[case.name] = describe(case, labels)
                write_table(table, rows)
            on_progress(number + 1, count)
    click.echo(f"{count} case(s) of the {set_name} set in {out}" + (f", {kept} of them kept" if kept else ""))


def _paths(out: Path, name: str, dicom: bool) -> list[Path]:
    """Return the paths of an image, its labels and its series."""
    from cspine.study.cases import image_name, labels_name

    paths = [out / "images" / image_name(name), out / "labels" / labels_name(name)]
    return [*paths, out / "dicom" / name] if dicom else paths


def _write_case(out: Path, name: str, ct: CtVolume, labels: LabelVolume, uid_seed: str | None) -> None:
    """Write a case; also as DICOM if there is a seed for its UIDs."""
    from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
    from cspine.io import nifti
    from cspine.io.files import write_folder_atomic

    image_path, labels_path, series_path = _paths(out, name, dicom=True)
    nifti.write(image_path, ct.hu_zyx, ct.affine_lps)
    nifti.write(labels_path, labels.labels_zyx, labels.affine_lps)
    if uid_seed is not None:
        description = CtSeriesDescription(uid_seed=uid_seed)
        write_folder_atomic(series_path, lambda partial: write_ct_series(ct, partial, description))
