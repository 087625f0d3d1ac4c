"""Which findings about the image and the shape of vertebrae ordinary synthetic cases have: none is right.

    python -m benchmarks.false_findings --atlas ATLAS [--count 50] [--set ordinary] [--json OUT.json]

Each case of the set is made, and its true labels of C1 to T1, which the cervical model has, are looked at as a run
looks at its own: every finding is a false one, except in `hard`, where some are right. ATLAS is the folder that
`cspine synthesize --set` takes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import parser, publish, table
from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.findings import Finding
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.shape_findings import shape_findings
from cspine.measurements.spine import measure_spine
from cspine.postprocessing.image_findings import image_findings
from cspine.study.synthesis.evaluation_sets import set_case, synthesize_set_case
from cspine.study.synthesis.set_names import ARTICULATED, SETS
from cspine.study.synthesis.write_necks import load_sources

_CERVICAL = [level.label for level in CERVICAL_LEVELS]


@dataclass(frozen=True)
class Case:
    """A case with what was found on its true labels.

    Parameters
    ----------
    name : str
        Name of the case.
    hard_because : tuple of str
        Perturbations of a case of `hard`.
    findings : tuple of Finding
        About the image and the shape of vertebrae.
    """

    name: str
    hard_because: tuple[str, ...]
    findings: tuple[Finding, ...]


def found(labels: LabelVolume, ct: CtVolume) -> tuple[Finding, ...]:
    """Return the findings about the image and about the shape of vertebrae."""
    shapes = shape_findings(measure_spine(labels, ct), labels.grid.spacing_xyz)
    return (*image_findings(ct, labels), *shapes)


def cases(atlas_folder: Path, name: str, count: int) -> Iterator[Case]:
    """Yield the first cases of a set of necks of the atlas."""
    _, atlas = load_sources(atlas_folder, None, None)
    for number in range(count):
        case = set_case(name, number)
        ct, labels = synthesize_set_case(atlas, case)
        cervical = np.where(np.isin(labels.labels_zyx, _CERVICAL), labels.labels_zyx, 0)
        yield Case(case.name, case.perturbations, found(replace(labels, labels_zyx=cervical), ct))


def markdown(looked_at: Sequence[Case]) -> str:
    """Return how many cases have each finding, and each finding with its case."""
    with_code = Counter(code for case in looked_at for code in {finding.code for finding in case.findings})
    silent = sum(not case.findings for case in looked_at)
    summary = f"{silent} of {len(looked_at)} cases have no finding."
    if not with_code:
        return summary
    counts = table(("finding", "cases"), sorted(with_code.items()))
    rows = [(c.name, ", ".join(c.hard_because), f.code, f.sentence) for c in looked_at for f in c.findings]
    return "\n\n".join([summary, counts, table(("case", "hard because", "finding", "sentence"), rows)])


def as_json(looked_at: Sequence[Case]) -> dict[str, Any]:
    """Return the cases with their findings."""
    return {
        "cases": [
            {
                "case": case.name,
                "hard_because": list(case.hard_because),
                "findings": [{"code": f.code, "level": f.level, "sentence": f.sentence} for f in case.findings],
            }
            for case in looked_at
        ]
    }


def main() -> None:
    """Make the cases, and print what was found on them."""
    options = parser(__doc__)
    options.add_argument("--atlas", type=Path, required=True)
    options.add_argument("--set", choices=[name for name in SETS if name not in ARTICULATED], default="ordinary")
    options.add_argument("--count", type=int, default=50)
    given = options.parse_args()
    looked_at = []
    for case in cases(given.atlas, given.set, given.count):
        looked_at.append(case)
        print(f"{case.name}: {', '.join(f.code for f in case.findings) or 'none'}", file=sys.stderr, flush=True)
    publish({"set": given.set, **as_json(looked_at)}, markdown(looked_at), given.json)


if __name__ == "__main__":
    main()
