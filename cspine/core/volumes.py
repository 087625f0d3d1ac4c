"""The images of the pipeline: arrays with the affine that positions them in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.geometry import Affine, Grid, orientation_of, reorientation

HuArray = NDArray[np.int16] | NDArray[np.float32]
LabelArray = NDArray[np.uint8]


def labels_present(labels_zyx: LabelArray, *, background: bool = False) -> tuple[int, ...]:
    """Return the labels of an array in ascending order.

    Slices are counted one by one, because counting takes eight bytes per voxel.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels.
    background : bool
        True to return 0 too, where a voxel has it.
    """
    counts = np.zeros(256, dtype=np.int64)
    for plane in labels_zyx:
        counts += np.bincount(plane.ravel(), minlength=256)
    return tuple(int(label) for label in np.flatnonzero(counts) if label or background)


def relabelled(labels_zyx: LabelArray, numbers: Mapping[int, int]) -> LabelArray:
    """Return labels with other numbers; a label that gets none becomes background.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels.
    numbers : mapping of int to int
        New number by label.
    """
    table = np.zeros(256, dtype=np.uint8)
    for label, number in numbers.items():
        table[label] = number
    return table[labels_zyx]


@dataclass(frozen=True)
class SourceSlice:
    """A source slice: its file, its instance and its frame.

    Parameters
    ----------
    path : Path
        File of the instance.
    sop_instance_uid : str
        (0008,0018) *SOP Instance UID*.
    frame : int or None
        Index of the frame from 0 in an Enhanced CT; None for a single-frame instance.
    """

    path: Path
    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True)
class CtSource:
    """The stored slices that a volume was read from.

    Parameters
    ----------
    slices : tuple of SourceSlice
        One for each plane, in the order of the z axis of ``grid``.
    grid : Grid
        Grid of those planes. It is sheared if the gantry was tilted: the volume is then an orthogonal resampling of it,
        and labels are mapped back with `geometry.resample_labels`.
    """

    slices: tuple[SourceSlice, ...]
    grid: Grid


@dataclass(frozen=True)
class CtVolume:
    """A CT image in Hounsfield units on an orthogonal grid.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        int16 or float32.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres in DICOM patient coordinates (LPS).
    source : CtSource or None
        DICOM slices that it was read from; None for a volume without any (NIfTI, synthesis).
    notes : tuple of str
        Repairs that were made while reading, in sentences that the summary repeats.
    """

    hu_zyx: HuArray
    affine_lps: Affine
    source: CtSource | None = None
    notes: tuple[str, ...] = ()

    @property
    def array(self) -> HuArray:
        """The Hounsfield units, shape (z, y, x)."""
        return self.hu_zyx

    @property
    def affine(self) -> Affine:
        """Index (x, y, z) to millimetres (LPS), shape (4, 4)."""
        return self.affine_lps

    @property
    def grid(self) -> Grid:
        """Grid of the array."""
        shape = self.hu_zyx.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine_lps)


@dataclass(frozen=True)
class ModelIdentity:
    """The identity of a model, as outputs record it.

    Parameters
    ----------
    name, version : str
        From the model package's manifest.
    checksum : str
        SHA-256 over the package's files.
    demonstration : bool
        True for a model that is marked DEMONSTRATION wherever its name appears.
    """

    name: str
    version: str
    checksum: str
    demonstration: bool = False

    @property
    def title(self) -> str:
        """Name, version and, for a demonstration model, the mark DEMONSTRATION."""
        mark = " (DEMONSTRATION)" if self.demonstration else ""
        return f"{self.name} {self.version}{mark}"


@dataclass(frozen=True)
class LabelVolume:
    """Vertebrae as labels of `cspine.core.anatomy` on a grid.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        0 is background, other values are labels of `cspine.core.anatomy`.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    model : ModelIdentity or None
        The model that predicted it; None for a reference.
    cut : frozenset of int
        Labels that another grid cut before, so that they are truncated wherever they lie now.
    resampled_from : Grid or None
        The grid that they were resampled from; None if they were drawn on their own.
    """

    labels_zyx: LabelArray
    affine_lps: Affine
    model: ModelIdentity | None = None
    cut: frozenset[int] = frozenset()
    resampled_from: Grid | None = None

    @property
    def array(self) -> LabelArray:
        """The labels, shape (z, y, x)."""
        return self.labels_zyx

    @property
    def affine(self) -> Affine:
        """Index (x, y, z) to millimetres (LPS), shape (4, 4)."""
        return self.affine_lps

    @property
    def levels(self) -> tuple[Vertebra, ...]:
        """The vertebrae that have a voxel, from head to foot."""
        present = labels_present(self.labels_zyx)
        return tuple(level for level in VERTEBRAE if level.label in present)

    @property
    def grid(self) -> Grid:
        """Grid of the array."""
        shape = self.labels_zyx.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine_lps)

    @property
    def resolution_xyz(self) -> tuple[float, float, float]:
        """Spacing along x, y, z in millimetres, or that of the grid that they were resampled from where it is wider."""
        x, y, z = self.grid.spacing_xyz
        if self.resampled_from is None:
            return x, y, z
        turned = reorientation(self.resampled_from.affine_lps, orientation_of(self.affine_lps))
        before_x, before_y, before_z = turned.grid(self.resampled_from).spacing_xyz
        return max(x, before_x), max(y, before_y), max(z, before_z)

    def read_only(self) -> LabelVolume:
        """Return the same labels with an array that cannot be changed, and is not copied: results follow from it."""
        labels_zyx = self.labels_zyx.view()
        labels_zyx.flags.writeable = False
        return replace(self, labels_zyx=labels_zyx)


#: Plain values about the settings and decisions of a step, for summary.json.
Record = dict[str, Any]
