"""A model's own labels as training data: cases that pass their checks, as an nnU-Net raw dataset.

The class below T1 is drawn by the network, and shown by no result; here it is kept where it continues the column.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine import images
from cspine.anatomy import CERVICAL_LEVELS, rank
from cspine.errors import OutputError, OutputNotEmptyError
from cspine.files import write_whole
from cspine.geometry import Grid
from cspine.study.anatomy_checks import Verdict
from cspine.study.audit import AuditCase, AuditFolder, CaseRecord
from cspine.study.recipe import BELOW, network_labels
from cspine.study.tables import write_json
from cspine.volumes import LabelVolume

#: The class below T1 belongs to the column where it lies this close to it: discs and joint spaces are narrower.
LINK_MM = 12.0
#: Checks that a case must pass, and those that it must pass where they were measured.
NEEDED, NEEDED_IF_MEASURED = ("order", "complete", "volumes", "spacing"), ("cord_ring", "agreement")
_MARK = "Pseudo-labels made by cspine audit"
_FILES = ("imagesTr", "labelsTr")


def is_fit(record: CaseRecord) -> bool:
    """Tell whether a case may teach a network.

    Parameters
    ----------
    record : CaseRecord
        Its record.
    """
    return (
        not record.error
        and all(record.verdict(name) is Verdict.PASS for name in NEEDED)
        and all(record.verdict(name) is not Verdict.FAIL for name in NEEDED_IF_MEASURED)
    )


def network_labels_of(labels: LabelVolume, auxiliary_zyx: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a case's labels as the network's: C1..C7, T1 and the class below them.

    Parameters
    ----------
    labels : LabelVolume
        Cleaned vertebrae; levels below T1 become the auxiliary class.
    auxiliary_zyx : ndarray of bool, shape (z, y, x)
        Voxels that the network gave to its auxiliary classes; those within `LINK_MM` of the column, or of others that
        are, are kept.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
    """
    numbers = network_labels()
    table = np.zeros(256, dtype=np.uint8)
    for level in CERVICAL_LEVELS:
        table[level.label] = numbers[level.name]
    last = rank(CERVICAL_LEVELS[-1].label)
    for label in (int(i) for i in np.unique(labels.labels_zyx) if i):
        if rank(label) > last:
            table[label] = numbers[BELOW]
    drawn = table[labels.labels_zyx]
    drawn[_linked(auxiliary_zyx & (drawn == 0), drawn > 0, labels.grid)] = numbers[BELOW]
    return drawn


def _linked(candidates: NDArray[np.bool_], column: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return the candidates in groups, members of which lie within `LINK_MM` of each other, that hold the column."""
    if not candidates.any() or not column.any():
        return np.zeros_like(candidates)
    either = candidates | column
    margin = [int(np.ceil(LINK_MM / step)) for step in reversed(grid.spacing_xyz)]
    box = []
    for axis in range(3):
        line = np.flatnonzero(either.any(axis=tuple(i for i in range(3) if i != axis)))
        box.append(slice(max(int(line[0]) - margin[axis], 0), int(line[-1]) + margin[axis] + 1))
    inner = (box[0], box[1], box[2])
    near = ndimage.distance_transform_edt(~either[inner], sampling=grid.spacing_xyz[::-1]) <= LINK_MM / 2
    groups = cc3d.connected_components(near, connectivity=26, out_dtype=np.uint32)
    kept = np.zeros_like(candidates)
    kept[inner] = candidates[inner] & np.isin(groups, np.unique(groups[column[inner]]))
    return kept


@dataclass(frozen=True)
class RawDataset:
    """An nnU-Net raw dataset of pseudo-labels.

    Parameters
    ----------
    root : Path
        Its folder; one of an earlier audit is renewed.

    Raises
    ------
    OutputNotEmptyError
        If the folder holds another dataset.
    """

    root: Path

    def __post_init__(self) -> None:
        try:
            described = json.loads((self.root / "dataset.json").read_text(encoding="utf-8")).get("description", "")
        except FileNotFoundError:
            if any((self.root / name).exists() for name in _FILES):
                raise OutputNotEmptyError(f"{self.root} holds images, but no dataset.json of cspine audit") from None
            return
        except (OSError, ValueError, AttributeError) as error:
            raise OutputNotEmptyError(f"{self.root}/dataset.json cannot be read") from error
        if not str(described).startswith(_MARK):
            raise OutputNotEmptyError(f"{self.root} holds another dataset")

    def put(self, case: AuditCase, record: CaseRecord, kept: AuditFolder) -> bool:
        """Write a case that is fit, and take one out that is not any more.

        Parameters
        ----------
        case : AuditCase
            The case.
        record : CaseRecord
            Its record.
        kept : AuditFolder
            Where the audit keeps its labels.

        Returns
        -------
        bool
            True where it is in the dataset now.
        """
        image = self.root / _FILES[0] / f"{case.name}_0000.nii.gz"
        labels = self.root / _FILES[1] / f"{case.name}.nii.gz"
        if not is_fit(record):
            for path in (image, labels):
                self._remove(path)
            return False
        cleaned = images.read_labels(kept.labels(case.name))
        auxiliary = images.read_labels(kept.auxiliary(case.name)).labels_zyx > 0
        images.write(labels, network_labels_of(cleaned, auxiliary), cleaned.affine_lps)
        write_whole(image, lambda partial: shutil.copyfile(case.image, partial))
        return True

    def describe(self, models: Sequence[str]) -> int:
        """Write dataset.json, and return the number of cases in it.

        Parameters
        ----------
        models : sequence of str
            Models that drew the labels.
        """
        cases = sorted(path.name for path in (self.root / _FILES[1]).glob("[!.]*.nii.gz"))
        content = {
            "channel_names": {"0": "CT"},
            "labels": network_labels(),
            "numTraining": len(cases),
            "file_ending": ".nii.gz",
            "name": self.root.name,
            "description": f"{_MARK}: drawn by {', '.join(sorted(set(models)))}, looked at by nobody.",
        }
        write_json(self.root / "dataset.json", content)
        return len(cases)

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path.name} cannot be removed: {error.strerror}") from error
