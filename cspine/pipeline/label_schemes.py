"""The label schemes of other systems: which number is which level of `cspine.core.anatomy`.

Each scheme has one table from number to level. Numbers that a scheme gives to other structures (discs, the sacrum, the
cord, organs) become background; a number that it does not know is refused, because the file then follows another one.
docs/reference/label-schemes.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cspine.core.anatomy import SACRUM, VERTEBRAE, vertebra
from cspine.core.errors import LabelSchemeError, UsageError
from cspine.core.volumes import LabelVolume, labels_present, relabelled
from cspine.io.masks import mask_name

#: Schemes whose table is not a constant: the names in a dataset.json, and one file per vertebra.
NNUNET, MASKS = "nnunet", "masks"
#: DICOM Segmentations, whose segments say by code or label which vertebra they are.
SEG = "dicom-seg"
#: The scheme of labels if none is named.
VERSE = "verse"


@dataclass(frozen=True)
class LabelScheme:
    """Numbers of a system.

    Parameters
    ----------
    name : str
        What ``--scheme``, ``--prediction-scheme`` and ``--reference-scheme`` take.
    title : str
        Whose numbers they are.
    levels : mapping of int to str
        Level of each number that is a vertebra's.
    others : frozenset of int
        Numbers of other structures; they become background.
    others_are : str
        What those structures are.
    source : str
        Where the numbers were read.
    bodies_only : bool
        True if the system labels vertebral bodies, without arches and processes.
    """

    name: str
    title: str
    levels: Mapping[int, str]
    others: frozenset[int] = field(default_factory=frozenset)
    others_are: str = ""
    source: str = ""
    bodies_only: bool = False

    def to_anatomy(self, volume: LabelVolume, file: str) -> LabelVolume:
        """Return labels of `cspine.core.anatomy` on the same grid.

        Parameters
        ----------
        volume : LabelVolume
            Numbers of this scheme.
        file : str
            Name of the file, for the message.

        Raises
        ------
        LabelSchemeError
            If the image holds numbers that the scheme does not know.
        """
        unknown = sorted(set(labels_present(volume.labels_zyx)) - self.levels.keys() - self.others)
        if unknown:
            listed = ", ".join(str(number) for number in unknown[:8]) + (" ..." if len(unknown) > 8 else "")
            raise LabelSchemeError(
                f"{file} holds {listed}, which the scheme {self.name} does not know",
                advice="Name the scheme that the labels follow; `cspine evaluate --list-schemes` shows them.",
            )
        labels = {number: vertebra(level).label for number, level in self.levels.items()}
        cut = frozenset(labels[number] for number in volume.cut & labels.keys())
        return replace(volume, labels_zyx=relabelled(volume.labels_zyx, labels), cut=cut)

    @property
    def numbers_text(self) -> str:
        """Return the vertebrae's numbers for people: ``"1..7 = C1..C7, 8..19 = T1..T12"``."""
        return _runs(self.levels)


def _runs(levels: Mapping[int, str]) -> str:
    """Join neighbours: numbers that step by one where the level of a region steps by one, up or down."""
    parts: list[list[int]] = []
    for number in sorted(levels):
        run = parts[-1] if parts else []
        if run and number == run[-1] + 1 and levels[number][0] == levels[run[-1]][0]:
            step = int(levels[number][1:]) - int(levels[run[-1]][1:])
            if abs(step) == 1 and (len(run) < 2 or int(levels[run[1]][1:]) - int(levels[run[0]][1:]) == step):
                run.append(number)
                continue
        parts.append([number])
    return ", ".join(
        f"{run[0]} = {levels[run[0]]}"
        if len(run) == 1
        else f"{run[0]}..{run[-1]} = {levels[run[0]]}..{levels[run[-1]]}"
        for run in parts
    )


def _from(first: int, names: Iterable[str]) -> dict[int, str]:
    return dict(enumerate(names, first))


_C = [f"C{i}" for i in range(1, 8)]
_T = [f"T{i}" for i in range(1, 13)]
_L = [f"L{i}" for i in range(1, 7)]
_VERSE = {level.label: level.name for level in VERTEBRAE}
_FOOT_TO_HEAD = [*reversed(_C + _T + _L[:5])]  # L5 first
_COCCYX = 27


def _numbers(*parts: range | int) -> frozenset[int]:
    return frozenset(n for part in parts for n in (part if isinstance(part, range) else (part,)))


_EVERY = (
    LabelScheme(
        VERSE,
        "VerSe 2019 and 2020; cspine's own",
        _VERSE,
        _numbers(SACRUM, _COCCYX),
        "26 sacrum, 27 coccyx",
        "anjany/verse, README.md",
    ),
    LabelScheme(
        "ctspine1k",
        "CTSpine1K and its nnU-Net baseline",
        _from(1, _C + _T + _L),
        source="MIRACLE-Center/CTSpine1K, Task056_VerSe2019.py: labels 0..25",
    ),
    LabelScheme(
        "payer",
        "Payer et al., VerSe 2019 and 2020",
        _VERSE,
        source="christianpayer/MedicalDataAugmentationTool-VerSe, verse2020/inference/main_vertebrae_segmentation.py",
    ),
    LabelScheme(
        "meng",
        "Meng et al., VerSe 2020",
        _VERSE,
        source="gitlab.inria.fr/spine/vertebrae_segmentation, consistency_loop.py and utils.py",
    ),
    LabelScheme(
        "totalsegmentator-v2",
        "TotalSegmentator v2, task total, --ml",
        _from(27, _FOOT_TO_HEAD),
        _numbers(range(1, 27), range(51, 118)),
        "organs, 25 sacrum, 26 S1",
        "wasserth/TotalSegmentator, totalsegmentator/map_to_binary.py: total",
    ),
    LabelScheme(
        "totalsegmentator-v1",
        "TotalSegmentator v1, --ml",
        _from(18, _FOOT_TO_HEAD),
        _numbers(range(1, 18), range(42, 105)),
        "organs, 92 sacrum",
        "wasserth/TotalSegmentator, totalsegmentator/map_to_binary.py: total_v1",
    ),
    LabelScheme(
        "totalsegmentator-pp",
        "TotalSegmentator 2.18, tasks vertebrae_pp and vertebrae_pp_refined, --ml: vertebral bodies",
        _from(1, _C + _T + _L[:5]),
        source="wasserth/TotalSegmentator, totalsegmentator/map_to_binary.py: vertebrae_pp",
        bodies_only=True,
    ),
    LabelScheme(
        "cads",
        "CADS, model 552",
        _from(1, _FOOT_TO_HEAD),
        source="murong-xu/CADS, resources/info/labelmap.md",
    ),
    LabelScheme(
        "vista3d",
        "MONAI VISTA-3D",
        _from(33, _FOOT_TO_HEAD) | {131: "L6"},
        _numbers(range(1, 33), range(57, 131), 132),
        "organs, 97 sacrum, 127 S1",
        "Project-MONAI/VISTA, vista3d/data/jsons/label_dict.json",
    ),
    LabelScheme(
        "totalspineseg",
        "TotalSpineSeg, step2_output",
        _from(11, _C) | _from(21, _T) | _from(41, _L),
        _numbers(1, 2, 47, 50, range(63, 68), range(71, 83), range(91, 97), 100),
        "1 cord, 2 canal, 47 L7, 50 sacrum, 63..100 discs",
        "neuropoly/totalspineseg, resources/labels_maps/tss_map.json and inference.py",
    ),
    LabelScheme(
        "totalspineseg-early",
        "TotalSpineSeg, releases with TotalSegmentator's v1 numbers",
        _from(18, _FOOT_TO_HEAD),
        _numbers(92, range(200, 225)),
        "92 sacrum, 200 cord, 201 canal, 202..224 discs",
        "neuropoly/totalspineseg, README.md at 0284d94",
    ),
    LabelScheme(
        "spineps",
        "SPINEPS, seg-vert mask after its labelling step",
        _VERSE,
        _numbers(SACRUM, _COCCYX, range(29, 34), range(101, 134), range(201, 234)),
        "26 S1, 27 coccyx, 29..33 S2..S6, 101..133 discs, 201..233 endplates",
        "Hendrik-code/spineps, README.md; Hendrik-code/TPTBox, core/vert_constants.py",
    ),
)
#: Every scheme with a constant table, by name.
SCHEMES = {scheme.name: scheme for scheme in _EVERY}
#: What an option takes.
SCHEME_NAMES = (*SCHEMES, NNUNET, MASKS, SEG)


def schemes_table() -> str:
    """Return the table of docs/reference/label-schemes.md: one Markdown row per scheme."""
    rows = [
        f"| `{s.name}` | {s.title} | {s.numbers_text} | {s.others_are or '-'} | {s.source} |" for s in SCHEMES.values()
    ]
    others = (
        (NNUNET, "any nnU-Net v2 dataset or prediction", "by the names in dataset.json", "every other name", "nnU-Net"),
        (
            MASKS,
            f"one file per vertebra, {mask_name('C1')}: TotalSegmentator v1 and v2",
            "by the names of the files",
            "every other file",
            "wasserth/TotalSegmentator, README.md",
        ),
        (
            SEG,
            "DICOM Segmentations, *.dcm: cspine, dcmqi and others",
            "by the codes or labels of the segments",
            "every other segment",
            "DICOM PS3.3 A.51; PS3.16 CID 7603",
        ),
    )
    rows += [f"| `{name}` | {' | '.join(cells)} |" for name, *cells in others]
    head = "| scheme | whose | numbers | background | read in |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def require_scheme(named: str | None) -> None:
    """Raise UsageError for the name of a scheme that does not exist; None is that of no scheme."""
    if named is not None and named not in SCHEME_NAMES:
        raise UsageError(f"there is no label scheme {named!r}", advice=f"Give one of: {', '.join(SCHEME_NAMES)}.")


def in_scheme(volume: LabelVolume, scheme: str | None, name: str) -> LabelVolume:
    """Return labels in memory as labels of `cspine.core.anatomy`.

    Parameters
    ----------
    volume : LabelVolume
        Numbers of the scheme.
    scheme : str or None
        One of `SCHEMES`; ``verse`` if None.
    name : str
        The labels, as the message names them.

    Raises
    ------
    UsageError
        If there is no such scheme, or it is one of files.
    LabelSchemeError
        If there are numbers that the scheme does not know.
    """
    require_scheme(scheme)
    known = SCHEMES.get(scheme or VERSE)
    if known is None:
        raise UsageError(f"the scheme {scheme} is one of files", advice=f"Give one of: {', '.join(SCHEMES)}.")
    return known.to_anatomy(volume, name)


def labels_bodies(scheme: str | None) -> bool:
    """Return whether a scheme is that of a system which labels vertebral bodies alone."""
    return scheme is not None and scheme in SCHEMES and SCHEMES[scheme].bodies_only
