"""Clean the connected components of each vertebra: remove islands, reassign label leakage, keep fragments.

The functions work on a cropped box. Thresholds are cubic millimetres, so that they are independent of the spacing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import may_follow, vertebra
from cspine.core.norms import MIN_VARIANT_MM3
from cspine.core.shape import Box
from cspine.core.volumes import LabelArray

#: A detached component smaller than this is noise of the network, not a fragment of bone.
ISLAND_MM3 = 150.0
#: A vertebra with less volume than this counts as not segmented.
MIN_VERTEBRA_MM3 = 100.0
#: A fragment lies next to its vertebra; a component further away is a false positive.
FRAGMENT_REACH_MM = 8.0
#: A main component smaller than this may be a patch embedded in another vertebra.
MAX_EMBEDDED_MM3 = 1500.0
#: The vertebra that receives a component has at least this many times its voxels.
MIN_RECEIVER_RATIO = 2.0
#: A component belongs to the adjacent vertebra if at least this share of its surface borders on it.
NEIGHBOUR_SHARE = 0.2
#: The same for a vertebra that is not adjacent.
ANY_SHARE = 0.5
#: A component is label leakage into a neighbour only if it is smaller than this share of its own main component.
MAX_LEAKAGE_SHARE = 0.5
#: ... and smaller than this: about a pair of articular processes.
MAX_LEAKAGE_MM3 = 3000.0

#: Levels that few patients have. A patch of one is bone of a neighbour: a complete vertebra would be larger.
VARIANTS = frozenset(vertebra(name).label for name in ("T13", "L6"))


@dataclass(frozen=True)
class Piece:
    """A connected component of one label.

    Parameters
    ----------
    label : int
        Label of `cspine.core.anatomy`.
    number : int
        Value of the component in the array of components.
    voxels : int
        Number of voxels.
    box_zyx : tuple of slice
        Bounding box.
    """

    label: int
    number: int
    voxels: int
    box_zyx: Box


@dataclass
class Cleaning:
    """The changes that cleaning made, in cubic millimetres.

    Parameters
    ----------
    removed_mm3 : dict of int to float
        Volume of the islands that were removed, by label.
    moved_mm3 : dict of (int, int) to float
        Volume that was moved from one label to another.
    fragments_mm3 : dict of int to list of float
        Volumes of the components kept beside the main one, by label.
    """

    removed_mm3: dict[int, float] = field(default_factory=dict)
    moved_mm3: dict[tuple[int, int], float] = field(default_factory=dict)
    fragments_mm3: dict[int, list[float]] = field(default_factory=dict)

    def forget_fragments(self, volumes_mm3: Mapping[int, Iterable[float]]) -> None:
        """Remove fragments that were removed afterwards, given by their volumes.

        Parameters
        ----------
        volumes_mm3 : mapping of int to iterable of float
            Volumes by label, cubic millimetres; one that no fragment has is ignored.
        """
        for label, volumes in volumes_mm3.items():
            kept = self.fragments_mm3.get(label, [])
            for volume in volumes:
                nearest = min(kept, key=lambda one: abs(one - volume), default=None)
                if nearest is not None and abs(nearest - volume) < 1e-6 * max(volume, 1.0):
                    kept.remove(nearest)


def find_pieces(labels_zyx: LabelArray) -> tuple[NDArray[np.uint32], list[Piece]]:
    """Return the components of a label array: 26-connected voxels of one label.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels, 0 is background.

    Returns
    -------
    numbers_zyx : ndarray of uint32, shape (z, y, x)
        Number of the component that a voxel belongs to; 0 is background.
    pieces : list of Piece
        The largest first; equal sizes by number, so that the order is deterministic.
    """
    found = cc3d.connected_components(np.ascontiguousarray(labels_zyx), connectivity=26, out_dtype=np.uint32)
    numbers_zyx = np.asarray(found, dtype=np.uint32)
    statistics = cc3d.statistics(numbers_zyx)
    pieces = []
    for number in range(1, len(statistics["voxel_counts"])):
        box = statistics["bounding_boxes"][number]
        inside = numbers_zyx[box] == number
        label = int(labels_zyx[box][inside][0])
        pieces.append(Piece(label, number, int(statistics["voxel_counts"][number]), box))
    return numbers_zyx, sorted(pieces, key=lambda p: (-p.voxels, p.number))


def contact_faces(labels_zyx: LabelArray, numbers_zyx: NDArray[np.uint32], piece: Piece) -> tuple[dict[int, int], int]:
    """Return how many voxel faces of a component border on each other label.

    Parameters
    ----------
    labels_zyx, numbers_zyx : ndarray, shape (z, y, x)
        Labels, and the components of `find_pieces`.
    piece : Piece
        The component.

    Returns
    -------
    touching : dict of int to int
        Number of faces that border on each other label.
    faces : int
        Number of all outer faces, including those on background.
    """
    box = tuple(
        slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(piece.box_zyx, labels_zyx.shape, strict=True)
    )
    inside = np.pad(numbers_zyx[box] == piece.number, 1)
    labels = np.pad(labels_zyx[box], 1)
    counts = np.zeros(256, dtype=np.int64)
    for axis in range(3):
        for step in (1, -1):
            behind = np.roll(inside, step, axis=axis) & ~inside
            counts += np.bincount(labels[behind], minlength=256)
    touching = {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i not in (0, piece.label)}
    return touching, int(counts.sum())


def remove_small_components(labels_zyx: LabelArray, voxel_mm3: float) -> LabelArray:
    """Return the labels without isolated components that are smaller than `MIN_VERTEBRA_MM3`.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; components of all labels together are judged.
    voxel_mm3 : float
        Volume of a voxel, cubic millimetres.
    """
    occupied = np.ascontiguousarray(labels_zyx != 0)
    kept = cc3d.dust(occupied, threshold=MIN_VERTEBRA_MM3 / voxel_mm3, connectivity=26, in_place=False)
    return np.where(kept, labels_zyx, np.uint8(0))


def clean_components(
    labels_zyx: LabelArray, spacing_zyx: tuple[float, float, float], voxel_mm3: float
) -> tuple[LabelArray, Cleaning]:
    """Return the labels with each vertebra's components cleaned, and the changes.

    The main component of a vertebra is its largest. A smaller one that borders mainly on the adjacent vertebra is bone
    of that vertebra (the label leaked across a facet joint) and is assigned to it; an island is removed; a component
    next to the main one is a fragment and is kept.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; not changed.
    spacing_zyx : tuple of float
        Voxel spacing along z, y, x, millimetres.
    voxel_mm3 : float
        Volume of a voxel.

    Returns
    -------
    labels_zyx : ndarray of uint8, shape (z, y, x)
    cleaning : Cleaning
    """
    cleaned = labels_zyx.copy()
    numbers_zyx, pieces = find_pieces(labels_zyx)
    main: dict[int, Piece] = {}
    for piece in pieces:
        main.setdefault(piece.label, piece)
    cleaning = Cleaning()
    for piece in pieces:
        body = main[piece.label]
        volume = piece.voxels * voxel_mm3
        least = MIN_VARIANT_MM3 if piece.label in VARIANTS else MAX_EMBEDDED_MM3
        if piece is body and volume >= least:
            continue
        inside = numbers_zyx[piece.box_zyx] == piece.number
        receiver = _receiver(cleaned, numbers_zyx, piece, main) if volume <= max(MAX_LEAKAGE_MM3, least) else None
        if receiver is not None:
            cleaned[piece.box_zyx][inside] = receiver
            key = (piece.label, receiver)
            cleaning.moved_mm3[key] = cleaning.moved_mm3.get(key, 0.0) + volume
        elif piece is body and volume >= MIN_VERTEBRA_MM3:
            continue
        elif (
            piece is not body
            and volume >= ISLAND_MM3
            and lies_within(FRAGMENT_REACH_MM, numbers_zyx, (piece, body), spacing_zyx)
        ):
            cleaning.fragments_mm3.setdefault(piece.label, []).append(volume)
        else:
            cleaned[piece.box_zyx][inside] = 0
            cleaning.removed_mm3[piece.label] = cleaning.removed_mm3.get(piece.label, 0.0) + volume
    return cleaned, cleaning


def _receiver(
    labels_zyx: LabelArray, numbers_zyx: NDArray[np.uint32], piece: Piece, main: dict[int, Piece]
) -> int | None:
    """Return the label that a detached component belongs to, judged by its borders, or None to keep its own."""
    body = main[piece.label]
    if piece is not body and piece.voxels > MAX_LEAKAGE_SHARE * body.voxels:
        return None
    touching, faces = contact_faces(labels_zyx, numbers_zyx, piece)
    if not touching:
        return None
    label = min(touching, key=lambda i: (-touching[i], i))
    if piece.label in VARIANTS and piece is body and _is_inside(piece, labels_zyx.shape):
        return label
    is_next = may_follow(label, piece.label) or may_follow(piece.label, label)
    share = NEIGHBOUR_SHARE if is_next and piece is not body else ANY_SHARE
    if touching[label] < faces * share or main[label].voxels < MIN_RECEIVER_RATIO * piece.voxels:
        return None
    return label


def _is_inside(piece: Piece, shape_zyx: tuple[int, ...]) -> bool:
    """Return whether a component ends before the border of the array: one at the border may be cut off."""
    return all(part.start > 0 and part.stop < n for part, n in zip(piece.box_zyx, shape_zyx, strict=True))


def lies_within(
    reach_mm: float, numbers_zyx: NDArray[np.uint32], pair: tuple[Piece, Piece], spacing_zyx: tuple[float, float, float]
) -> bool:
    """Return whether a component has a voxel within a distance of another one.

    Parameters
    ----------
    reach_mm : float
        The distance, millimetres.
    numbers_zyx : ndarray of uint32, shape (z, y, x)
        Components of `find_pieces`.
    pair : pair of Piece
        The two components; only the surroundings of the first are searched.
    spacing_zyx : tuple of float
        Voxel spacing along z, y, x, millimetres.
    """
    one, other = pair
    box = tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, n))
        for part, n, margin in zip(
            one.box_zyx, numbers_zyx.shape, (int(np.ceil(reach_mm / step)) for step in spacing_zyx), strict=True
        )
    )
    near = numbers_zyx[box]
    if not (near == other.number).any():
        return False
    distance = ndimage.distance_transform_edt(near != other.number, sampling=spacing_zyx)
    return bool(distance[near == one.number].min() <= reach_mm)
