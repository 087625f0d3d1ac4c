"""Doubts about reference labels, found without a look at the image: order, fragments, volumes, gaps, centroids."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray

from cspine.anatomy import VERTEBRAE
from cspine.errors import InputError
from cspine.postprocessing.clean import PLAUSIBLE_ML, PLAUSIBLE_REGION_ML
from cspine.postprocessing.findings import MISSING_LEVEL, ORDER_BROKEN, TOO_CLOSE, WIDE_GAP
from cspine.postprocessing.order import order_findings
from cspine.postprocessing.shape import LevelShape, shapes_of, vertebrae_only
from cspine.volumes import LabelVolume

#: A piece beside the main one counts where it has so much volume, or such a share of the vertebra's.
LEAST_PIECE_MM3, LEAST_PIECE_SHARE = 300.0, 0.05
#: A published centroid may lie this far outside the box of its vertebra.
CENTROID_SLACK_MM = 8.0
#: Less than this is a speck.
SPECK_MM3 = 100.0

_KINDS = {
    MISSING_LEVEL.code: "missing level",
    ORDER_BROKEN.code: "order",
    TOO_CLOSE.code: "two labels on one",
    WIDE_GAP.code: "gap",
}


@dataclass(frozen=True)
class Doubt:
    """One thing about the labels of a case that a person should look at.

    Parameters
    ----------
    level : str
        Vertebra, or empty for the whole case.
    kind : str
        ``"missing level"``, ``"order"``, ``"two labels on one"``, ``"gap"``, ``"fragments"``, ``"volume"``, ``"speck"``,
        ``"centroid"``, ``"overlap"`` or ``"intensity"``.
    sentence : str
        What was seen, with its numbers.
    """

    level: str
    kind: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.level}" if self.level else self.kind


def audit_labels(labels: LabelVolume, centroids: dict[int, NDArray[np.float64]] | None = None) -> list[Doubt]:
    """Return the doubts about reference labels.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.anatomy`; other numbers are left aside.
    centroids : dict of int to ndarray, optional
        Published centroids by label: x, y, z in voxels of the labels.

    Returns
    -------
    list of Doubt
        From head to foot.
    """
    only = vertebrae_only(labels.labels_zyx)
    shapes = shapes_of(only, labels.grid)
    doubts = [
        Doubt(finding.level or "", _KINDS[finding.code], finding.sentence)
        for finding in order_findings(shapes)
        if finding.code in _KINDS
    ]
    for shape in shapes:
        doubts += _level_doubts(only, shape, labels)
    if centroids:
        doubts += _centroid_doubts(shapes, centroids, labels)
    return doubts


def _level_doubts(only: NDArray[np.uint8], shape: LevelShape, labels: LabelVolume) -> list[Doubt]:
    name = shape.vertebra.name
    if shape.volume_mm3 < SPECK_MM3:
        return [Doubt(name, "speck", f"{name} has {shape.volume_mm3:.0f} mm3.")]
    doubts = []
    pieces = cc3d.connected_components(only[shape.box_zyx] == shape.vertebra.label, connectivity=26)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1] * labels.grid.voxel_mm3
    extra = [size for size in sizes[1:] if size >= min(LEAST_PIECE_MM3, LEAST_PIECE_SHARE * shape.volume_mm3)]
    if extra:
        listed = ", ".join(f"{size:.0f}" for size in extra[:3])
        doubts.append(Doubt(name, "fragments", f"{name} has {len(extra)} more pieces, of {listed} mm3."))
    low, high = PLAUSIBLE_ML.get(name, PLAUSIBLE_REGION_ML[shape.vertebra.region])
    millilitres = shape.volume_mm3 / 1000
    if not low <= millilitres <= high and not (shape.touches_edge and millilitres < low):
        doubts.append(Doubt(name, "volume", f"{name} has {millilitres:.1f} ml, expected {low:g} to {high:g}."))
    return doubts


def _centroid_doubts(
    shapes: tuple[LevelShape, ...], centroids: dict[int, NDArray[np.float64]], labels: LabelVolume
) -> list[Doubt]:
    doubts = []
    spacing = np.array(labels.grid.spacing_xyz)
    for shape in shapes:
        place = centroids.get(shape.vertebra.label)
        if place is None:
            continue
        low = np.array([s.start for s in reversed(shape.box_zyx)])
        high = np.array([s.stop for s in reversed(shape.box_zyx)])
        outside = np.maximum(np.maximum(low - place, place - high), 0) * spacing
        if float(outside.max()) > CENTROID_SLACK_MM:
            far = float(np.linalg.norm(outside))
            name = shape.vertebra.name
            doubts.append(Doubt(name, "centroid", f"The published centroid of {name} lies {far:.0f} mm outside it."))
    known = {level.label: level.name for level in VERTEBRAE}
    drawn = {shape.vertebra.label for shape in shapes}
    for label in sorted(set(centroids) - drawn):
        if label in known:
            sentence = f"{known[label]} has a published centroid and no voxel."
            doubts.append(Doubt(known[label], "centroid", sentence))
    return doubts


def read_centroids(path: Path) -> dict[int, NDArray[np.float64]] | None:
    """Return the centroids of a VerSe file by label, in voxels of the image; None where they are in another frame.

    The subject based files begin with ``{"direction": [...]}`` and give voxels of the image as it is stored; the
    ``iso-ctd`` files of the challenge give millimetres of a resampled image, which are left aside.

    Raises
    ------
    InputError
        If the file is not of that form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in content if "label" in row]
        if "iso" in path.name or not any("direction" in row for row in content):
            return None
        return {int(row["label"]): np.array([row["X"], row["Y"], row["Z"]], dtype=np.float64) for row in rows}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path.name} holds no centroids", advice="Fetch the file again, or remove it.") from error
