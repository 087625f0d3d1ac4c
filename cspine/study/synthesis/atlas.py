"""The anatomical label atlas as fields that can be sampled between voxels: tissues, and signed distances to bone.

Signed distances are positive inside and in millimetres; they keep a surface sharp and smooth under any deformation,
where a sampled label would show the atlas's voxels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE
from cspine.core.errors import AtlasError
from cspine.core.geometry import Affine, Grid, reorientation
from cspine.io.documents import read_csv
from cspine.io.files import sha256_of
from cspine.io.nifti import read_labels

_log = logging.getLogger(__name__)

# Numbers of the tissues in the atlas's labels.csv; its vertebrae are 1..13 = C1..T6, which are cspine's own numbers.
OTHER_BONE, TEETH, DISC, CARTILAGE, AIRWAY, VESSEL, BRAIN, GLAND, MUSCLE = 20, 21, 22, 23, 24, 25, 26, 28, 30
FAT, LUNG, CANAL = 40, 41, 42
#: Added here: what fills the spinal canal, and the cord in it.
CANAL_CONTENT, CORD = 50, 51

_EXPECTED = {0, *range(1, 14), 20, 21, 22, 23, 24, 25, 26, 28, 30, 40, 41, 42}
_FAR_MM = 30.0
_CACHE_FORMAT = 4

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Atlas:
    """A neck as fields on one grid, all shape (z, y, x), axes to L, P, S.

    Parameters
    ----------
    tissue_zyx : ndarray of uint8
        Tissue numbers of this module, 0 is air outside the body. Vertebrae are filled in like muscle: they are drawn
        from the distances.
    level_zyx : ndarray of uint8
        The nearest vertebra (label of `cspine.core.anatomy`), everywhere within some centimetres of one.
    vertebra_mm, other_bone_mm : ndarray of float32
        Signed distance to the nearest surface of a vertebra or of another bone, positive inside, millimetres.
    depth_mm : ndarray of float32
        Depth below the skin, 0 outside the body, millimetres; the airway counts as inside.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres of the atlas (LPS).
    centroids_lps : dict of int to ndarray, shape (3,)
        Centre of each vertebra.
    """

    tissue_zyx: NDArray[np.uint8]
    level_zyx: NDArray[np.uint8]
    vertebra_mm: Field
    other_bone_mm: Field
    depth_mm: Field
    affine_lps: Affine
    centroids_lps: dict[int, NDArray[np.float64]]

    @property
    def grid(self) -> Grid:
        """Return the grid of the fields."""
        z, y, x = self.tissue_zyx.shape
        return Grid((z, y, x), self.affine_lps)


def find_atlas(folder: Path) -> Path:
    """Return the atlas's image after a look at its table of labels, which takes no time.

    Raises
    ------
    AtlasError
        If the files are absent or their labels are not those that the synthesis knows.
    """
    path, table = folder / "neck_atlas_1mm.nii.gz", folder / "labels.csv"
    if not path.is_file() or not table.is_file():
        raise AtlasError(f"no neck_atlas_1mm.nii.gz with labels.csv in {folder}")
    try:
        listed = {int(row["label"]) for row in read_csv(table)[1]}
    except (OSError, KeyError, ValueError) as error:
        raise AtlasError("labels.csv has no column of numbers named 'label'") from error
    if listed != _EXPECTED:
        raise AtlasError(f"labels.csv lists {sorted(listed)}, expected {sorted(_EXPECTED)}")
    return path


def load_atlas(folder: Path, cache: Path | None = None) -> Atlas:
    """Load the atlas and compute its distance fields.

    Parameters
    ----------
    folder : Path
        Holds ``neck_atlas_1mm.nii.gz`` and ``labels.csv``.
    cache : Path, optional
        Cache folder of the fields, which take some 20 s to compute.

    Returns
    -------
    Atlas

    Raises
    ------
    AtlasError
        If the files are absent, their labels are not those that the synthesis knows, or the image is not that of a neck
        on a grid of 1 mm.
    """
    path = find_atlas(folder)
    checksum = sha256_of(path)[:16]
    kept = cache / f"atlas-{checksum}-{_CACHE_FORMAT}.npz" if cache is not None else None
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as fields:
            return _from_fields({name: fields[name] for name in fields.files})

    volume = read_labels(path)
    if not np.allclose(volume.grid.spacing_xyz, 1.0, atol=1e-3):
        raise AtlasError(f"the atlas has voxels of {volume.grid.spacing_xyz} mm, expected 1 mm")
    absent = [level.name for level in CERVICAL_LEVELS if not (volume.labels_zyx == level.label).any()]
    if absent:
        raise AtlasError(f"the atlas has no {', '.join(absent)}")
    to_lps = reorientation(volume.affine_lps, "LPS")
    _log.info("computing the distance fields of the atlas: up to a minute")
    fields = _compute_fields(np.ascontiguousarray(to_lps.apply(volume.labels_zyx)), to_lps.grid(volume.grid).affine_lps)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npz")
        np.savez(partial, **fields)  # type: ignore[arg-type]
        partial.replace(kept)
    return _from_fields(fields)


def _from_fields(fields: dict[str, NDArray[np.generic]]) -> Atlas:
    centroids = np.asarray(fields["centroids"], dtype=np.float64)
    return Atlas(
        tissue_zyx=fields["tissue"].astype(np.uint8),
        level_zyx=fields["level"].astype(np.uint8),
        vertebra_mm=fields["vertebra_mm"].astype(np.float32),
        other_bone_mm=fields["other_bone_mm"].astype(np.float32),
        depth_mm=fields["depth_mm"].astype(np.float32),
        affine_lps=np.asarray(fields["affine"], dtype=np.float64),
        centroids_lps={int(row[0]): row[1:] for row in centroids},
    )


def _compute_fields(labels_zyx: NDArray[np.uint8], affine_lps: Affine) -> dict[str, NDArray[np.generic]]:
    vertebra_mm = np.full(labels_zyx.shape, -_FAR_MM, dtype=np.float32)
    level = np.zeros(labels_zyx.shape, dtype=np.uint8)
    centroids = []
    for vertebra in VERTEBRAE:
        found = np.argwhere(labels_zyx == vertebra.label)
        if not 0 < vertebra.label <= 13 or not len(found):
            continue
        low = np.maximum(found.min(axis=0) - 20, 0)
        high = np.minimum(found.max(axis=0) + 21, labels_zyx.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        distance = signed_distance(labels_zyx[box] == vertebra.label)
        nearer = distance > vertebra_mm[box]
        vertebra_mm[box][nearer] = distance[nearer]
        level[box][nearer] = vertebra.label
        centre = affine_lps[:3, :3] @ found.mean(axis=0)[::-1] + affine_lps[:3, 3]
        centroids.append([float(vertebra.label), *centre])
    # A lattice twice as fine would take minutes and gigabytes here, for bones that have no label.
    other = signed_distance((labels_zyx == OTHER_BONE) | (labels_zyx == TEETH), refine=1)
    tissue = labels_zyx.copy()
    tissue[(tissue >= 1) & (tissue <= 13)] = MUSCLE
    tissue[tissue == OTHER_BONE] = MUSCLE
    _fill_canal(tissue, labels_zyx)
    return {
        "tissue": tissue,
        "level": level,
        "vertebra_mm": vertebra_mm,
        "other_bone_mm": np.clip(other, -_FAR_MM, _FAR_MM).astype(np.float32),
        "depth_mm": np.minimum(_depth_below_skin(labels_zyx > 0), _FAR_MM).astype(np.float32),
        "affine": affine_lps,
        "centroids": np.array(centroids),
    }


def _depth_below_skin(body_zyx: NDArray[np.bool_]) -> Field:
    """Return the distance in voxels of each point of the body to the air around it; cavities count as body."""
    solid = np.stack([ndimage.binary_fill_holes(slice_yx) for slice_yx in body_zyx])
    # The body goes on beyond the image.
    padded = np.pad(solid, 1, mode="edge")
    return np.asarray(ndimage.distance_transform_edt(padded)[1:-1, 1:-1, 1:-1], dtype=np.float32)


def signed_distance(mask_zyx: NDArray[np.bool_], refine: int = 2) -> Field:
    """Return the signed distance to a mask's smoothed surface in voxels, positive inside, on the mask's grid.

    The surface is found on a lattice ``refine`` times as fine, between the voxels, so that its steps do not show.
    """
    soft = ndimage.gaussian_filter(mask_zyx.astype(np.float32), 0.6)
    shape = tuple(refine * (n - 1) + 1 for n in soft.shape)
    fine = ndimage.zoom(soft, [m / n for m, n in zip(shape, soft.shape, strict=True)], order=1) > 0.5
    inside = ndimage.distance_transform_edt(fine)
    outside = ndimage.distance_transform_edt(~fine)
    signed = np.where(fine, inside - 0.5, 0.5 - outside) / refine
    return np.asarray(signed[::refine, ::refine, ::refine], dtype=np.float32)


def _fill_canal(tissue_zyx: NDArray[np.uint8], labels_zyx: NDArray[np.uint8]) -> None:
    """Draw the canal's content and the cord along the line of the vertebral foramina, in place."""
    heights, centres = [], []
    for label in range(1, 14):
        found = np.argwhere(labels_zyx == label)
        if not len(found):
            continue
        shadow = (labels_zyx[found[:, 0].min() : found[:, 0].max() + 1] == label).any(axis=0)
        shadow = ndimage.binary_closing(shadow, iterations=4)
        holes, count = ndimage.label(ndimage.binary_fill_holes(shadow) & ~shadow)
        if count:
            sizes = ndimage.sum_labels(np.ones_like(holes), holes, range(1, count + 1))
            heights.append(float(found[:, 0].mean()))
            centres.append(ndimage.center_of_mass(holes == int(np.argmax(sizes)) + 1))
    if len(heights) < 2:
        raise AtlasError("the vertebral foramina of the atlas were not found")
    order = np.argsort(heights)
    heights_up, centres_up = np.array(heights)[order], np.array(centres)[order]
    y, x = np.ogrid[: labels_zyx.shape[1], : labels_zyx.shape[2]]
    fillable = np.isin(tissue_zyx, (FAT, CANAL, MUSCLE, BRAIN)) & ((labels_zyx == 0) | (labels_zyx > 20))
    for z in range(int(heights_up[0]), min(int(heights_up[-1]) + 8, len(tissue_zyx))):
        cy, cx = (float(np.interp(z, heights_up, centres_up[:, i])) for i in (0, 1))
        for scale, number in ((1.0, CANAL_CONTENT), (0.6, CORD)):
            disc = ((y - cy) / (7.5 * scale)) ** 2 + ((x - cx) / (10.5 * scale)) ** 2 <= 1
            tissue_zyx[z][disc & fillable[z]] = number
