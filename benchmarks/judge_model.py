"""Several models on the same images, set by set: Dice, HD95, volume given to a neighbour, levels; Markdown and JSON.

    python benchmarks/judge_model.py OLD NEW --sets SETS --out OUT [--device cuda] [--report]

SETS holds one folder per set, with images/ and labels/, as `cspine synthesize --set` and `--truncate` write them. Each
image is segmented once a model, as `cspine predict` does, and the result evaluated; what is finished is kept, so the
same command goes on after an interrupt, and a third model costs its own work alone. OUT/judgement.md and
OUT/judgement.json have all figures, OUT/SET/MODEL/evaluation the tables and pictures of each; with --report
OUT/SET/comparison has the tests of `cspine compare`. docs/guide/evaluation-sets.md has the definitions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cspine.cli import compare, evaluate, predict  # noqa: E402
from cspine.core.errors import InputError, SomeStudiesFailedError  # noqa: E402
from cspine.core.volumes import ModelIdentity  # noqa: E402
from cspine.io.files import write_atomic  # noqa: E402
from cspine.io.tables import write_json  # noqa: E402
from cspine.models.package import load_package  # noqa: E402
from cspine.study.evaluation.judgement import Figures, figures, markdown, read_expectations  # noqa: E402

_PICTURES = 8


@dataclass(frozen=True)
class Judged:
    """A model: its package, what it is called, and what its folders of results are called."""

    folder: Path
    identity: ModelIdentity

    @property
    def title(self) -> str:
        """Name and version, and the beginning of the checksum."""
        return f"{self.identity.name} {self.identity.version} ({self.identity.checksum[:8]})"

    @property
    def key(self) -> str:
        """Name of its folders: other weights have others."""
        return f"{self.identity.name}-{self.identity.version}-{self.identity.checksum[:8]}"


def judge(models: Sequence[Path], sets: Path, out: Path, device: str = "auto", report: bool = False) -> list[Figures]:
    """Return the figures of all models on all sets, set by set; what is finished in `out` is not done again."""
    judged = [judged_model(folder) for folder in models]
    names = sets_in(sets)
    if not names:
        raise InputError(f"no set in {sets}", advice="Give a folder of sets: SET/images and SET/labels.")
    every = []
    for name in names:
        expectations = read_expectations(sets / name / "cases.csv")
        for model in judged:
            evaluation = evaluated(model, sets / name, out / name / model.key, device)
            every.append(figures(evaluation, name, model.title, expectations))
        if report and len(judged) > 1:
            folders = [str(out / name / model.key / "evaluation") for model in judged]
            _call(compare.command, [*folders, "--out", str(out / name / "comparison")])
    write_json(out / "judgement.json", {"figures": [each.as_json() for each in every]})
    write_atomic(out / "judgement.md", lambda partial: partial.write_text(markdown(every), encoding="utf-8"))
    return every


def judged_model(folder: Path) -> Judged:
    """Return a model by its package."""
    return Judged(folder, load_package(folder).identity)


def sets_in(folder: Path) -> list[str]:
    """Return the names of the sets in a folder."""
    return sorted(path.parent.name for path in folder.glob("*/images") if (path.parent / "labels").is_dir())


def evaluated(model: Judged, case_set: Path, out: Path, device: str) -> Path:
    """Segment the images of a set with a model and evaluate the labels; return the folder of the evaluation."""
    labels, evaluation = out / "labels", out / "evaluation"
    images = case_set / "images"
    _call(
        predict.command,
        ["--model", str(model.folder), "--input", str(images), "--out", str(labels), "--device", device],
    )
    if not _is_complete(evaluation, labels, case_set):
        _call(
            evaluate.command,
            [
                *("--reference", str(case_set / "labels"), "--prediction", str(labels), "--images", str(images)),
                *("--levels", "C1-T1", "--title", model.title, "--pictures", str(_PICTURES), "--allow-missing"),
                *("--out", str(evaluation)),
            ],
        )
    return evaluation


def _is_complete(evaluation: Path, labels: Path, case_set: Path) -> bool:
    """Return whether an evaluation is finished, of as many cases, and newer than the labels and references."""
    summary = evaluation / "summary.json"
    if not summary.is_file():
        return False
    record = json.loads(summary.read_text(encoding="utf-8"))
    references = list((case_set / "labels").glob("*.nii.gz"))
    files = [*references, *labels.glob("*.nii.gz")]
    newest = max((path.stat().st_mtime_ns for path in files), default=0)
    return (
        bool(record.get("complete")) and record.get("cases") == len(references) and summary.stat().st_mtime_ns > newest
    )


def _call(command, arguments: list[str]) -> None:
    """Call a command of cspine; cases that failed are in its tables and stop nothing."""
    try:
        command.main(arguments, standalone_mode=False)
    except SomeStudiesFailedError as error:
        print(f"{command.name}: {error.message}", file=sys.stderr)


def main() -> None:
    """Judge the models and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--sets", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "judgement")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    print(markdown(judge(given.models, given.sets, given.out, given.device, given.report)))


if __name__ == "__main__":
    main()
