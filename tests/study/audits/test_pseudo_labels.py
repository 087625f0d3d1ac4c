"""Cases that pass become training data in the network's own labels; others do not, or leave again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import OutputError, OutputNotEmptyError, UsageError
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.audits import audit
from cspine.study.audits.anatomy_checks import CheckOutcome
from cspine.study.audits.audit import AuditFolder, AuditRecord, AuditSettings, CheckRecord
from cspine.study.audits.audit_cases import AuditCase, find_cases
from cspine.study.audits.pseudo_labels import RawDataset, is_fit, network_labels_of
from tests.builders.audit_cases import NECK, StandIn, stand_in, tiny_package, write_case
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import draw

__all__ = ["stand_in"]


def record(**outcomes: str) -> AuditRecord:
    known = {"order": "pass", "complete": "pass", "volumes": "pass", "spacing": "pass"} | outcomes
    checks = tuple(CheckRecord(name=n, outcome=CheckOutcome(v), value=None, note="") for n, v in known.items())
    return AuditRecord(case="a", key="", model="m", checksum="c", seconds=0, checks=checks)


def test_what_is_fit_to_teach() -> None:
    assert is_fit(record(symmetry="fail", larynx="n/a", cord_ring="n/a", agreement="pass", mandible="pass"))
    organs = ("larynx", "mandible", "brainstem")
    for name in ("order", "complete", "volumes", "spacing", "cord_ring", *organs, "agreement"):
        assert not is_fit(record(**{name: "fail"})), name
    assert not is_fit(record(volumes="n/a"))
    assert not is_fit(record().model_copy(update={"error": "no"}))


def test_the_class_below_t1_is_kept_where_it_continues_the_column() -> None:
    truth = draw(NECK)
    cleaned = LabelVolume(np.where(truth > 8, np.uint8(0), truth), NECK.grid().affine_lps)
    auxiliary = truth == 9
    auxiliary[40:44, 2:5, 2:5] = True  # a rib far from it
    labels = network_labels_of(cleaned, auxiliary)
    assert np.array_equal(labels, truth)
    assert not network_labels_of(LabelVolume(truth * 0, cleaned.affine_lps), auxiliary).any()
    below = LabelVolume(np.where(truth == 9, np.uint8(12), truth), cleaned.affine_lps)
    assert np.array_equal(network_labels_of(below, auxiliary & False), truth)


def test_a_dataset_of_cases_that_pass_and_stay(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path, "a")
    write_case(tmp_path, "b", lost=5)
    cases, kept, package = find_cases(tmp_path, tmp_path), AuditFolder(tmp_path / "out"), tiny_package(tmp_path)
    settings = AuditSettings(agreement=False)
    records = [audit.audit_case(case, package, settings, kept) for case in cases]
    dataset = RawDataset(tmp_path / "raw")
    dataset.begin(cases)
    assert [dataset.put(case, r, kept) for case, r in zip(cases, records, strict=True)] == [True, False]
    assert dataset.count == 1
    described = json.loads((tmp_path / "raw/dataset.json").read_text())
    assert described["labels"]["T2 and below"] == 9 and described["numTraining"] == 1
    assert described["cases"] == {"a": records[0].model} and records[0].model in described["description"]
    assert sorted(p.relative_to(tmp_path / "raw").as_posix() for p in (tmp_path / "raw").rglob("*.gz")) == [
        "imagesTr/a_0000.nii.gz",
        "labelsTr/a.nii.gz",
    ]
    labels = nifti.read_labels(tmp_path / "raw/labelsTr/a.nii.gz")
    ct = nifti.read_ct(tmp_path / "raw/imagesTr/a_0000.nii.gz")
    assert set(np.unique(labels.labels_zyx)) == set(range(10)) and labels.grid.is_close(ct.grid)
    again = RawDataset(tmp_path / "raw")  # a later audit renews it
    assert not again.put(cases[0], record(order="fail"), kept)
    assert again.count == json.loads((tmp_path / "raw/dataset.json").read_text())["numTraining"] == 0


def fit_case(folder: Path, name: str, kept: AuditFolder) -> AuditCase:
    """A case with what an audit keeps of it."""
    write_case(folder, name, cord=False)
    truth, affine = draw(NECK), NECK.grid().affine_lps
    nifti.write(kept.labels(name), np.where(truth > 8, np.uint8(0), truth), affine)
    nifti.write(kept.auxiliary(name), (truth > 8).astype(np.uint8), affine)
    return next(case for case in find_cases(folder) if case.name == name)


def pairs(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.nii.gz"))


def test_an_audit_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    kept = AuditFolder(tmp_path / "out")
    cases = [fit_case(tmp_path, name, kept) for name in ("a", "b")]
    dataset = RawDataset(tmp_path / "raw")
    dataset.begin(cases)
    assert dataset.put(cases[0], record(), kept)
    with monkeypatch.context() as patch:
        patch.setattr("cspine.study.audits.pseudo_labels.write_atomic", interrupted)
        with pytest.raises(KeyboardInterrupt):  # b has labels and no image yet
            dataset.put(cases[1], record(), kept)
    described = json.loads((tmp_path / "raw/dataset.json").read_text())
    assert (described["numTraining"], list(described["cases"])) == (1, ["a", "b"])
    again = RawDataset(tmp_path / "raw")
    again.begin(cases)
    assert again.put(cases[1], record(), kept) and again.count == 2
    assert pairs(tmp_path / "raw") == ["a.nii.gz", "a_0000.nii.gz", "b.nii.gz", "b_0000.nii.gz"]


def test_cases_that_no_longer_exist_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    kept = AuditFolder(tmp_path / "out")
    cases = [fit_case(tmp_path, name, kept) for name in ("a", "b")]
    dataset = RawDataset(tmp_path / "raw")
    dataset.begin(cases)
    for case in cases:
        dataset.put(case, record(), kept)
    mine = tmp_path / "raw/labelsTr/mine.nii.gz"
    mine.write_bytes(b"")
    again = RawDataset(tmp_path / "raw")
    again.begin(cases[:1])
    assert pairs(tmp_path / "raw") == ["a.nii.gz", "a_0000.nii.gz", "mine.nii.gz"]
    assert json.loads((tmp_path / "raw/dataset.json").read_text())["numTraining"] == 1
    assert not again.put(AuditCase("mine", mine), record(order="fail"), kept) and mine.is_file()


def test_the_input_of_the_audit_is_not_its_output(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    for read, folder_name in (("imagesTr", "imagesTr/"), ("labelsTr/more", "labelsTr/")):
        with raises_code(UsageError, "--pseudo-labels", folder_name):
            RawDataset(tmp_path, [None, tmp_path / read])


def test_a_file_that_cannot_be_removed_is_reported(tmp_path: Path) -> None:
    kept = AuditFolder(tmp_path / "out")
    case = fit_case(tmp_path, "a", kept)
    dataset = RawDataset(tmp_path / "raw")
    dataset.begin([case])
    dataset.put(case, record(), kept)
    image = tmp_path / "raw/imagesTr/a_0000.nii.gz"
    image.unlink()
    image.mkdir()
    with raises_code(OutputError, "a_0000.nii.gz"):
        RawDataset(tmp_path / "raw").begin([])


@pytest.mark.parametrize("content", ['{"description": "mine"}', '{"cases": {}}', "[]", "{", None])
def test_another_dataset_is_not_changed(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "imagesTr").mkdir()
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(OutputNotEmptyError) as refused:
        RawDataset(tmp_path)
    assert "`pseudo_labels`" in refused.value.advice
