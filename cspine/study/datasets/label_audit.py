"""Doubts about reference labels, by numbers alone: orientation, order, shape, fragments, volume, density, centroids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import InputError
from cspine.core.findings import CONTRADICTS_LEVEL, MISSING_LEVEL, OUT_OF_ORDER, TOO_CLOSE, WIDE_GAP
from cspine.core.geometry import reorientation, to_index, to_lps
from cspine.core.norms import MIN_BONE_HU, plausible_ml
from cspine.core.shape import LevelShape, shapes_of, vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.documents import read_json
from cspine.measurements.anchor_shape import anchor_findings
from cspine.postprocessing.order import order_findings
from cspine.study.orientation import orientation_doubt

#: A piece beside the main one counts where it has so much volume, or such a share of the vertebra's.
MIN_FRAGMENT_MM3, MIN_FRAGMENT_SHARE = 300.0, 0.05
#: A published centroid may lie this far outside the box of its vertebra.
CENTROID_SLACK_MM = 8.0
#: Less than this is a speck.
SPECK_MM3 = 100.0

_AXES = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
_OF_FINDING = {
    MISSING_LEVEL.code: "missing level",
    OUT_OF_ORDER.code: "order",
    TOO_CLOSE.code: "two labels on one vertebra",
    WIDE_GAP.code: "gap",
    CONTRADICTS_LEVEL.code: "shape of another level",
}
#: Every kind of doubt, and what it means; docs/guide/datasets.md has the same table.
DOUBTS = {
    "missing level": "a vertebra between two labelled ones has no label",
    "orientation": "the vertebrae are upside down or back to front in the patient, or mirrored against the image",
    "order": "a vertebra lies above the one that should be superior to it",
    "two labels on one vertebra": "the centres of two vertebrae lie closer than two vertebrae can",
    "gap": "two adjacent vertebrae are further apart than is plausible: one may be unlabelled, the labels below it "
    "shifted",
    "shape of another level": "C1 has a vertebral body, or C2 has none: all levels may be named one too high or too "
    "low",
    "fragments": f"a second fragment of {MIN_FRAGMENT_MM3:.0f} mm3, or of {MIN_FRAGMENT_SHARE:.0%} of the vertebra, "
    "that the edge of the image does not explain",
    "volume": "more or less than an adult's vertebra; less is expected where the edge of the image truncates it",
    "speck": f"a label of less than {SPECK_MM3:.0f} mm3 that the edge of the image does not truncate",
    "centroid": f"VerSe's centroid lies more than {CENTROID_SLACK_MM:.0f} mm outside the vertebra, or has no vertebra",
    "overlap": "masks of TotalSegmentator share voxels",
    "density": f"a vertebra has a mean below {MIN_BONE_HU:.0f} HU: the labels may be shifted or mirrored",
    "intensity": "no voxel is below 0: the image may not be in Hounsfield units",
    "same image": "the image is voxel for voxel that of another case: both count as one patient, and would count twice",
    "series": "several CT series have the slices of the labels; the one in which they are densest was chosen",
}


@dataclass(frozen=True)
class Doubt:
    """One thing about the labels of a case that a reviewer should look at.

    Parameters
    ----------
    level : str
        Vertebra, or empty for the whole case.
    kind : str
        One of `DOUBTS`.
    sentence : str
        What was seen, with its numbers.
    """

    level: str
    kind: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.level}" if self.level else self.kind


@dataclass(frozen=True, eq=False)
class Centroids:
    """Centroids of vertebrae as VerSe publishes them.

    Parameters
    ----------
    orientation : str
        Where the axes of the image point to which the numbers belong, for example ``"PIR"``.
    by_label : dict of int to ndarray
        Index (x, y, z) in that image.
    """

    orientation: str
    by_label: dict[int, NDArray[np.float64]]


def audit_labels(labels: LabelVolume, centroids: Centroids | None = None, ct: CtVolume | None = None) -> list[Doubt]:
    """Return the doubts about reference labels.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy`; other numbers are left aside.
    centroids : Centroids, optional
        Published centroids.
    ct : CtVolume, optional
        The image, on the grid of the labels.

    Returns
    -------
    list of Doubt
        From head to foot.
    """
    only = vertebrae_only(labels.labels_zyx)
    shapes = shapes_of(only, labels.grid)
    doubts = [
        Doubt(finding.level or "", _OF_FINDING[finding.code], finding.sentence)
        for finding in (*order_findings(shapes), *anchor_findings(replace(labels, labels_zyx=only), shapes))
        if finding.code in _OF_FINDING
    ]
    for shape in shapes:
        doubts += _level_doubts(only, shape, labels)
        if ct is not None:
            doubts += _density_doubts(only, shape, ct)
    if orientation := orientation_doubt(labels, ct):
        doubts.append(Doubt("", "orientation", f"The labels are {orientation}."))
    if centroids is not None:
        doubts += _centroid_doubts(shapes, centroids, labels)
    return doubts


def _level_doubts(only: NDArray[np.uint8], shape: LevelShape, labels: LabelVolume) -> list[Doubt]:
    name = shape.vertebra.name
    if shape.volume_mm3 < SPECK_MM3 and not shape.touches_edge:
        return [Doubt(name, "speck", f"{name} has {shape.volume_mm3:.0f} mm3.")]
    doubts = []
    pieces = cc3d.connected_components(only[shape.box_zyx] == shape.vertebra.label, connectivity=26)
    sizes = np.bincount(pieces.ravel())[1:] * labels.grid.voxel_mm3
    least = max(SPECK_MM3, min(MIN_FRAGMENT_MM3, MIN_FRAGMENT_SHARE * shape.volume_mm3))
    cut = _at_edge(pieces, shape, only.shape)
    separate = [i for i in np.argsort(-sizes, kind="stable")[1:] if i + 1 not in cut]
    extra = [float(sizes[i]) for i in separate if sizes[i] >= least]
    if extra:
        listed = ", ".join(f"{size:.0f}" for size in extra[:3])
        doubts.append(Doubt(name, "fragments", f"{name} has {len(extra)} more fragments, of {listed} mm3."))
    low, high = plausible_ml(shape.vertebra)
    millilitres = shape.volume_mm3 / 1000
    if not low <= millilitres <= high and not (shape.touches_edge and millilitres < low):
        doubts.append(Doubt(name, "volume", f"{name} has {millilitres:.1f} ml, expected {low:g} to {high:g}."))
    return doubts


def _at_edge(pieces_zyx: NDArray[Any], shape: LevelShape, whole_zyx: tuple[int, ...]) -> set[int]:
    """Return the pieces that reach the edge of the image: what it divides is still one vertebra."""
    found: set[int] = set()
    for axis, (place, count) in enumerate(zip(shape.box_zyx, whole_zyx, strict=True)):
        if place.start == 0:
            found |= set(np.unique(pieces_zyx.take(0, axis)).tolist())
        if place.stop == count:
            found |= set(np.unique(pieces_zyx.take(-1, axis)).tolist())
    return found - {0}


def _density_doubts(only: NDArray[np.uint8], shape: LevelShape, ct: CtVolume) -> list[Doubt]:
    name = shape.vertebra.name
    mean = float(ct.hu_zyx[shape.box_zyx][only[shape.box_zyx] == shape.vertebra.label].mean())
    if mean >= MIN_BONE_HU:
        return []
    return [Doubt(name, "density", f"{name} has {mean:.0f} HU on average, which is less than bone.")]


def _centroid_doubts(shapes: tuple[LevelShape, ...], centroids: Centroids, labels: LabelVolume) -> list[Doubt]:
    doubts = []
    spacing = np.array(labels.grid.spacing_xyz)
    published = reorientation(labels.affine_lps, centroids.orientation).grid(labels.grid)
    for shape in shapes:
        centroid = centroids.by_label.get(shape.vertebra.label)
        if centroid is None:
            continue
        place = to_index(labels.affine_lps, to_lps(published.affine_lps, centroid[None]))[0]
        low = np.array([s.start for s in reversed(shape.box_zyx)])
        high = np.array([s.stop for s in reversed(shape.box_zyx)])
        outside = np.maximum(np.maximum(low - place, place - high), 0) * spacing
        if float(outside.max()) > CENTROID_SLACK_MM:
            far = float(np.linalg.norm(outside))
            name = shape.vertebra.name
            doubts.append(Doubt(name, "centroid", f"The published centroid of {name} lies {far:.0f} mm outside it."))
    known = {level.label: level.name for level in VERTEBRAE}
    labelled = {shape.vertebra.label for shape in shapes}
    for label in sorted(set(centroids.by_label) - labelled):
        if label in known:
            sentence = f"{known[label]} has a published centroid but no voxel."
            doubts.append(Doubt(known[label], "centroid", sentence))
    return doubts


def read_centroids(path: Path) -> Centroids | None:
    """Return the centroids of a VerSe file; None where they are in millimetres of a resampled image.

    The subject based files begin with ``{"direction": ["P", "I", "R"]}`` and give voxels of the image of that
    orientation; vertebrae without a centroid have NaN. The files of the challenges (``iso-ctd``) have no direction.

    Parameters
    ----------
    path : Path
        A JSON file of VerSe.

    Raises
    ------
    InputError
        If the file is not of that form.
    """
    try:
        content = read_json(path, allow_nan=True)
        orientation = next(("".join(row["direction"]) for row in content if "direction" in row), None)
        rows = [row for row in content if "label" in row]
        if "iso" in path.name or orientation is None:
            return None
        places = {int(row["label"]): np.array([row[axis] for axis in "XYZ"], dtype=np.float64) for row in rows}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path.name} holds no centroids", advice="Fetch the file again, or remove it.") from error
    if sorted(_AXES.get(letter, -1) for letter in orientation) != [0, 1, 2]:
        raise InputError(f"{path.name} names no orientation", advice="Fetch the file again, or remove it.")
    return Centroids(orientation, {label: place for label, place in places.items() if np.isfinite(place).all()})
