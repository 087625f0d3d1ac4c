"""Everything that hangs on new weights of the demonstration model, in one command; `make ship-model` calls it.

    python benchmarks/ship_model.py --work WORK --run RECIPE=RUN [--run RECIPE=RUN] --start-from MODEL
        --atlas ATLAS --anatomies ANATOMIES [--labelled RECIPE=DATASET] [--cts CTS]

1. snapshots each run into a copy of the shipped package (WORK/package); the runs may be going on
2. makes the evaluation sets that are absent (WORK/sets), and with --cts the set `blank` of these CTs
3. judges the shipped package and the new one on the same images (WORK/judgement)
4. stops there if the new one is not better (--force ships it all the same)
5. writes the figures into the model card and the README, and the picture of the worst cases
6. calibrates the confidence on the same images (--full-confidence: with three more runs for each, too)
7. puts package and calibration in their place

WORK is one shipment: the same command goes on after an interrupt with the weights that it took first. RECIPE is the
name of a shipped recipe, or a file.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.judge_model import judge, judged_model, sets_in  # noqa: E402
from cspine.cli import evaluate, predict, synthesize, train  # noqa: E402
from cspine.core.errors import InputError, RequirementError, SomeStudiesFailedError  # noqa: E402
from cspine.io.files import write_atomic, write_folder_atomic  # noqa: E402
from cspine.models.calibration import Calibration  # noqa: E402
from cspine.models.manifest import CARD_NAME  # noqa: E402
from cspine.models.package import ModelPackage, load_package  # noqa: E402
from cspine.study.calibrate_model import calibrate_folders, error_rows  # noqa: E402
from cspine.study.evaluation.judgement import Figures, markdown, worst_cases  # noqa: E402
from cspine.study.reliability_plot import write_reliability  # noqa: E402
from cspine.study.synthesis.set_names import ARTICULATED, SETS  # noqa: E402
from cspine.study.synthetic_training.packaging import replace_card  # noqa: E402

BEGIN, END = "<!-- figures of cervical-demo: begin -->", "<!-- figures of cervical-demo: end -->"
_CONFIDENCE = "<!-- calibration of cervical-demo: begin -->", "<!-- calibration of cervical-demo: end -->"
_EVALUATION = "## Evaluation"
_BLANK = "blank"
_TRUNCATE = (
    "    cspine predict --model EARLIER --input CTS --out LABELS",
    f"    cspine synthesize --truncate CTS --labels LABELS --out SETS/{_BLANK}",
)
_JUDGE = "    python benchmarks/judge_model.py EARLIER models/cervical-demo --sets SETS"
_PICTURE = "model-failures.png"
_WORST = 6
#: A set may lose so much mean Dice, if the mean over all sets gains.
_MAX_LOSS = 0.005


@dataclass(frozen=True)
class Shipment:
    """What is shipped, and where.

    Parameters
    ----------
    work : Path
        Folder of everything on the way.
    runs : tuple of (str, Path)
        Recipe and folder of each run, the first stage of a cascade first.
    start_from : Path
        Package that the runs began with.
    atlas, anatomies : Path
        What images are made from.
    labelled : dict of str to Path
        Dataset of labelled cases by recipe.
    cts : Path or None
        Real CTs, for the set `blank`.
    sets : tuple of str
        Sets to make.
    count : int
        Cases per set.
    root : Path
        The working tree with ``models/``, ``README.md`` and ``docs/images/``.
    device : str
        For segmenting.
    full_confidence : bool
        Also calibrate the confidence of altered images.
    """

    work: Path
    runs: tuple[tuple[str, Path], ...]
    start_from: Path
    atlas: Path
    anatomies: Path | None = None
    labelled: dict[str, Path] = field(default_factory=dict)
    cts: Path | None = None
    sets: tuple[str, ...] = tuple(SETS)
    count: int = 50
    root: Path = ROOT
    device: str = "auto"
    full_confidence: bool = False

    @property
    def target(self) -> Path:
        """The package that ships."""
        return self.root / "models" / "cervical-demo"

    @property
    def package(self) -> Path:
        """The new package, before it ships."""
        return self.work / "package"

    @property
    def before(self) -> Path:
        """The package that shipped until now."""
        return self.work / "before"


def ship(shipment: Shipment, force: bool = False) -> list[Figures]:
    """Do all steps; return the figures of the old and the new model.

    Raises
    ------
    RequirementError
        If the new model is not better; nothing outside the work folder has changed then.
    """
    take_snapshots(shipment)
    make_sets(shipment)
    figures = judge(
        [shipment.before, shipment.package], shipment.work / "sets", shipment.work / "judgement", shipment.device
    )
    old, new = figures[0::2], figures[1::2]
    reasons = worse(old, new)
    if reasons and not force:
        raise RequirementError(f"the new model is not better: {'; '.join(reasons)}", advice="--force ships it.")
    write_pictures(shipment)
    write_readme(shipment.root / "README.md", new)
    put_package(shipment, figures)
    return figures


def put_package(shipment: Shipment, figures: Sequence[Figures]) -> None:
    """Put the new package, its figures in its card, and its calibration in the place of those that shipped."""
    shipped = shipment.work / "shipped"
    _copy(shipment.package, shipped)
    card = with_evaluation((shipped / CARD_NAME).read_text(encoding="utf-8"), figures)
    replace_card(load_package(shipped), card)
    record = calibration_of(shipment, load_package(shipped))
    _copy(shipped, shipment.target)
    package = load_package(shipment.target)
    if record is not None:
        record.write(package)
        write_calibration(shipment.root, record, f"{package.manifest.name} {package.manifest.version}")


def calibration_of(shipment: Shipment, package: ModelPackage) -> Calibration | None:
    """Calibrate the confidence on the sets; None, with a warning, where they have too few vertebrae."""
    sets = shipment.work / "sets"
    folders = [(sets / name / "images", sets / name / "labels") for name in sets_in(sets)]
    try:
        return calibrate_folders(package, folders, full=shipment.full_confidence, progress=_print_progress)
    except InputError as error:
        print(f"The confidence is not calibrated: {error.message}", file=sys.stderr)
        return None


def _print_progress(done: int, total: int) -> None:
    print(f"calibration: {done} of {total} images", file=sys.stderr)


def write_calibration(root: Path, record: Calibration, title: str) -> None:
    """Write the errors of a calibration between the marks of its page, and its plot."""
    ways = [("fast", record.fast), *([("full", record.full)] if record.full is not None else [])]
    rows = ["| confidence | images of | error of the level | error of the Dice |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(row)} |" for way, curves in ways for row in error_rows(way, curves)]
    about = f"`{title}`, {record.fast.vertebrae} vertebrae of {record.cases} images:"
    write_between(root / "docs" / "guide" / "confidence.md", _CONFIDENCE, [about, "", *rows])
    write_reliability(record, title, root / "docs" / "images" / "reliability.png")


def write_between(path: Path, marks: tuple[str, str], lines: Sequence[str]) -> None:
    """Replace what stands between two marks of a page."""
    begin, end = marks
    before, rest = path.read_text(encoding="utf-8").split(begin)
    block = "\n".join([begin, *lines, end])
    text = before + block + rest.split(end)[1]
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _copy(source: Path, target: Path) -> None:
    write_folder_atomic(target, lambda partial: shutil.copytree(source, partial, dirs_exist_ok=True))


def take_snapshots(shipment: Shipment) -> None:
    """Package the runs' averaged weights as they are now, unless this shipment has them already."""
    if not shipment.before.is_dir():
        _copy(shipment.target, shipment.before)
    if shipment.package.is_dir():
        return
    into = shipment.before
    for number, (recipe, run) in enumerate(shipment.runs, 1):
        out = shipment.work / f"snapshot-{number}"
        more = ["--labelled", str(shipment.labelled[recipe])] if recipe in shipment.labelled else []
        more += ["--anatomies", str(shipment.anatomies)] if shipment.anatomies is not None else []
        _call(
            train.command,
            [
                *("--synthetic", "--snapshot", "--recipe", recipe, "--run", str(run), "--out", str(out)),
                *(
                    "--start-from",
                    str(shipment.start_from),
                    "--other-stages",
                    str(into),
                    "--atlas",
                    str(shipment.atlas),
                ),
                *more,
            ],
        )
        into = out
    into.rename(shipment.package)


def make_sets(shipment: Shipment) -> None:
    """Make the cases that are absent; those of this version that are there are kept."""
    sets = shipment.work / "sets"
    for name in shipment.sets:
        people = ["--anatomies", str(shipment.anatomies)] if name in ARTICULATED else []
        places = ["--atlas", str(shipment.atlas), "--out", str(sets / name), "--cache", str(shipment.work / "cache")]
        _call(synthesize.command, ["--set", name, "--count", str(shipment.count), *places, *people])
    if shipment.cts is not None:
        labels = shipment.work / "cts"
        _call(
            predict.command,
            ["--model", str(shipment.before), "--input", str(shipment.cts), "--out", str(labels)],
        )
        given = ["--truncate", str(shipment.cts), "--labels", str(labels), "--out", str(sets / _BLANK)]
        _call(synthesize.command, given)


def worse(old: Sequence[Figures], new: Sequence[Figures]) -> list[str]:
    """Return why a model is not better than the one before: a set that loses, or no gain over all sets."""
    dice = [(each.set_name, before.levels["all"].dice or 0.0, each.levels["all"].dice or 0.0)
            for before, each in zip(old, new, strict=True)]  # fmt: skip
    reasons = [f"{name}: {a:.3f} -> {b:.3f}" for name, a, b in dice if b < a - _MAX_LOSS]
    if sum(b - a for _, a, b in dice) <= 0:
        reasons.append("no gain over all sets")
    return reasons


def with_evaluation(card: str, figures: Sequence[Figures]) -> str:
    """Return a model card whose section on evaluation has these figures."""
    head = card.split(f"\n{_EVALUATION}\n")[0].rstrip()
    text = re.sub(r"^## ", "### ", markdown(figures), flags=re.MULTILINE)
    # The card is part of the package's checksum, which a judgement therefore cannot know.
    text = re.sub(r" \([0-9a-f]{8}\)", "", text)
    counts = {each.set_name: each.cases for each in figures if each.set_name in SETS}
    truncated = _TRUNCATE if any(each.set_name == _BLANK for each in figures) else ()
    commands = "\n".join([*(_synthesis(name, count) for name, count in counts.items()), *truncated, _JUDGE])
    return (
        f"{head}\n\n{_EVALUATION}\n\nThis model beside the one that it replaces, on the same images, with the cleaning "
        "of `cspine run`. The sets are described, and each figure is defined, in docs/guide/evaluation-sets.md.\n\n"
        f"{commands}\n\n{text.rstrip()}\n\nThe worst cases, found on the left and reference on the right of each "
        f"pair:\n\n![The worst cases of all sets](../../docs/images/{_PICTURE})\n"
    )


def _synthesis(name: str, count: int) -> str:
    people = " --anatomies ANATOMIES" if name in ARTICULATED else ""
    return f"    cspine synthesize --set {name} --count {count} --atlas ATLAS{people} --out SETS/{name}"


def write_readme(path: Path, new: Sequence[Figures]) -> None:
    """Write the figures of a model between the marks of the README."""
    rows = ["| set | mean Dice | HD95 | to a neighbour, median / 95th percentile | subjects with every level right |",
            "|---|---|---|---|---|", *(_readme_row(each) for each in new)]  # fmt: skip
    write_between(path, (BEGIN, END), rows)


def _readme_row(each: Figures) -> str:
    level = each.levels["all"]
    shares = [100 * (value or 0.0) for value in (level.neighbour_median, level.neighbour_p95)]
    right = 100 * (each.subjects_right or 0.0)
    return (
        f"| `{each.set_name}` ({each.cases}) | {level.dice or 0.0:.3f} | {level.hd95_mm or 0.0:.2f} mm "
        f"| {shares[0]:.1f} / {shares[1]:.1f} % | {right:.1f} % |"
    )


def write_pictures(shipment: Shipment) -> None:
    """Put the new model's worst cases of all sets on one sheet, beside their references."""
    key = judged_model(shipment.package).key
    judgement, gathered = shipment.work / "judgement", shipment.work / "failures"
    found = {name: judgement / name / key for name in sets_in(shipment.work / "sets")}
    worst = worst_cases({name: folder / "evaluation" for name, folder in found.items()}, _WORST)
    shutil.rmtree(gathered, ignore_errors=True)
    if not worst:
        return
    for name, case in worst:
        case_set = shipment.work / "sets" / name
        for source, target in (
            (case_set / "images" / f"{case}_0000.nii.gz", gathered / "images"),
            (case_set / "labels" / f"{case}.nii.gz", gathered / "labels"),
            (found[name] / "labels" / f"{case}.nii.gz", gathered / "found"),
        ):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    _call(
        evaluate.command,
        [
            *("--reference", str(gathered / "labels"), "--prediction", str(gathered / "found")),
            *("--images", str(gathered / "images"), "--levels", "C1-T1", "--out", str(gathered / "evaluation")),
        ],
    )
    images = shipment.root / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    shutil.copy(gathered / "evaluation" / "sheet.png", images / _PICTURE)


def _call(command, arguments: list[str]) -> None:
    """Call a command of cspine; cases that failed are in its tables and stop nothing."""
    try:
        command.main(arguments, standalone_mode=False)
    except SomeStudiesFailedError as error:
        print(f"{command.name}: {error.message}", file=sys.stderr)


def _pair(text: str) -> tuple[str, Path]:
    recipe, equals, place = text.partition("=")
    if not (recipe and equals and place):
        raise argparse.ArgumentTypeError(f"{text!r}: give RECIPE=FOLDER")
    return recipe, Path(place)


def main() -> None:
    """Ship the model and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", type=_pair, action="append", required=True, metavar="RECIPE=RUN")
    parser.add_argument("--start-from", type=Path, required=True)
    parser.add_argument("--atlas", type=Path, required=True)
    parser.add_argument("--anatomies", type=Path, required=True)
    parser.add_argument("--labelled", type=_pair, action="append", default=[], metavar="RECIPE=DATASET")
    parser.add_argument("--cts", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--full-confidence", action="store_true")
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args()
    shipment = Shipment(
        given.work, tuple(given.run), given.start_from, given.atlas, given.anatomies, dict(given.labelled), given.cts,
        count=given.count, device=given.device, full_confidence=given.full_confidence,
    )  # fmt: skip
    print(markdown(ship(shipment, given.force)))


if __name__ == "__main__":
    main()
