"""A model's own labels as training data: cases that pass their checks, as an nnU-Net raw dataset.

The class below T1 is predicted by the network, and in no result; here it is used where it continues the column.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.errors import OutputError, OutputNotEmptyError
from cspine.core.geometry import Grid
from cspine.core.shape import margin_zyx, occupied_box
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.io.documents import read_json
from cspine.io.files import write_atomic
from cspine.io.nifti_files import ENDING
from cspine.io.output_folder import refuse_overlap
from cspine.io.tables import write_json
from cspine.study.audits.anatomy_checks import ORGAN_POSITIONS, CheckOutcome
from cspine.study.audits.audit import AuditFolder, AuditRecord
from cspine.study.audits.audit_cases import AuditCase
from cspine.study.cases import raw_pair
from cspine.study.label_sets import BELOW, label_set

#: The class below T1 belongs to the column where it lies this close to it: discs and joint spaces are narrower.
LINK_MM = 12.0
#: Checks that a case must pass, and those that it must pass where they were measured.
NEEDED = ("order", "complete", "volumes", "spacing")
NEEDED_IF_MEASURED = ("cord_ring", *ORGAN_POSITIONS, "agreement")
_MARK = "Pseudo-labels made by cspine audit"
_FILES = ("imagesTr", "labelsTr")
_ADVICE = "Give `pseudo_labels` an empty folder, or one that an earlier `cspine audit --pseudo-labels` made."


def is_fit(record: AuditRecord) -> bool:
    """Return whether a network may be trained on a case.

    Parameters
    ----------
    record : AuditRecord
        Its record.
    """
    return (
        not record.error
        and all(record.outcome(name) is CheckOutcome.PASS for name in NEEDED)
        and all(record.outcome(name) is not CheckOutcome.FAIL for name in NEEDED_IF_MEASURED)
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
    labels_of_network = label_set("cervical", auxiliary=True)
    labelled = labels_of_network.to_network(labels.labels_zyx)
    linked = _linked(auxiliary_zyx & (labelled == 0), labelled > 0, labels.grid)
    labelled[linked] = labels_of_network.network_labels()[BELOW]
    return labelled


def _linked(candidates: NDArray[np.bool_], column: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return the candidates in groups, members of which lie within `LINK_MM` of each other, that hold the column."""
    if not candidates.any() or not column.any():
        return np.zeros_like(candidates)
    either = candidates | column
    inner = occupied_box(either, margin_zyx(LINK_MM, grid))
    assert inner is not None
    near = ndimage.distance_transform_edt(~either[inner], sampling=grid.spacing_xyz[::-1]) <= LINK_MM / 2
    groups = cc3d.connected_components(near, connectivity=26, out_dtype=np.uint32)
    linked = np.zeros_like(candidates)
    linked[inner] = candidates[inner] & np.isin(groups, np.unique(groups[column[inner]]))
    return linked


class RawDataset:
    """An nnU-Net raw dataset of pseudo-labels.

    Its dataset.json lists every case that may have a file, with the model that predicted it, before the file is;
    an audit that was interrupted resumes, and cases of an earlier audit that are no more can be identified and removed.

    Parameters
    ----------
    root : Path
        Its folder; one of an earlier audit is renewed.
    inputs : iterable of Path or None
        Folders that the audit reads.

    Raises
    ------
    UsageError
        If the audit's input would be overwritten.
    OutputNotEmptyError
        If the folder holds another dataset.
    """

    def __init__(self, root: Path, inputs: Iterable[Path | None] = ()) -> None:
        self.root = root
        refuse_overlap([root / name for name in _FILES], inputs, "pseudo_labels")
        self._drawn_by = self._members()

    def _members(self) -> dict[str, str]:
        """Return the cases of an earlier audit with their models."""
        try:
            described = read_json(self.root / "dataset.json")
        except FileNotFoundError:
            if any((self.root / name).exists() for name in _FILES):
                raise OutputNotEmptyError(
                    f"{self.root} holds images, but no dataset.json of cspine audit", advice=_ADVICE
                ) from None
            return {}
        except (OSError, ValueError) as error:
            raise OutputNotEmptyError(f"{self.root}/dataset.json cannot be read", advice=_ADVICE) from error
        members = described.get("cases") if isinstance(described, dict) else None
        if not isinstance(members, dict) or not str(described.get("description", "")).startswith(_MARK):
            raise OutputNotEmptyError(f"{self.root} holds another dataset", advice=_ADVICE)
        return {str(name): str(model) for name, model in members.items() if Path(name).name == name}

    def begin(self, cases: Iterable[AuditCase]) -> None:
        """Remove what an earlier audit added and this one does not have, and write dataset.json.

        Parameters
        ----------
        cases : iterable of AuditCase
            The cases of this audit.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        names = {case.name for case in cases}
        for name in [name for name in self._drawn_by if name not in names]:
            self._take_out(name)
        self._describe()

    def put(self, case: AuditCase, record: AuditRecord, audited: AuditFolder) -> bool:
        """Write a case that qualifies, and remove one that no longer does.

        Parameters
        ----------
        case : AuditCase
            The case.
        record : AuditRecord
            Its record.
        audited : AuditFolder
            Where the audit keeps its labels.

        Returns
        -------
        bool
            True where it is in the dataset now.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        if not is_fit(record):
            if case.name in self._drawn_by:
                self._take_out(case.name)
                self._describe()
            return False
        cleaned = nifti.read_labels(audited.labels(case.name))
        auxiliary = nifti.read_labels(audited.auxiliary(case.name)).labels_zyx > 0
        self._drawn_by[case.name] = record.model
        self._describe()
        image, labels = self._files(case.name)
        nifti.write(labels, network_labels_of(cleaned, auxiliary), cleaned.affine_lps)
        write_atomic(image, lambda partial: shutil.copyfile(case.image, partial))
        self._describe()
        return True

    @property
    def count(self) -> int:
        """Return the number of cases with an image and labels."""
        return sum(all(path.is_file() for path in self._files(name)) for name in self._drawn_by)

    def _describe(self) -> None:
        models = ", ".join(sorted(set(self._drawn_by.values()))) or "no model yet"
        content = {
            "channel_names": {"0": "CT"},
            "labels": label_set("cervical", auxiliary=True).network_labels(),
            "numTraining": self.count,
            "file_ending": ENDING,
            "name": self.root.name,
            "description": f"{_MARK}: predicted by {models}, not reviewed.",
            "cases": dict(sorted(self._drawn_by.items())),
        }
        write_json(self.root / "dataset.json", content)

    def _files(self, case: str) -> tuple[Path, Path]:
        return raw_pair(self.root, case)

    def _take_out(self, case: str) -> None:
        for path in self._files(case):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"{path.name} cannot be removed: {error.strerror}") from error
        del self._drawn_by[case]
