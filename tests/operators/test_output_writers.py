"""The writers of single outputs: each writes the file that a run writes under its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("holoscan")

from pydicom import dcmread

from cspine import operators
from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.core.volumes import CtVolume
from cspine.operators.domain import CtImage, Provenance, VertebraImage, placement
from cspine.operators.output_writer import OutputWriterOperator
from cspine.operators.sdk import Application, Image
from cspine.operators.step import IMAGE, SEG_IMAGE, STUDIES
from cspine.pipeline.outputs import output_named
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings
from tests.builders.source_volumes import SETTINGS, stored_volume

WRITERS = [
    each for each in vars(operators).values() if isinstance(each, type) and issubclass(each, OutputWriterOperator)
]
PROVENANCE = Provenance(RunSettings(SETTINGS.clock))


class Inputs(dict[str, Any]):
    """What the ports of an operator hold."""

    def receive(self, port: str) -> Any:
        return self[port]


def inputs(folder: Path) -> Inputs:
    ct, labels = stored_volume(folder)
    vertebrae = VertebraImage(Vertebrae(labels, ()), ct, PROVENANCE)
    return Inputs({SEG_IMAGE: vertebrae, IMAGE: CtImage(ct, PROVENANCE), STUDIES: []})


def writer(kind: type[OutputWriterOperator], folder: Path, **options: str) -> OutputWriterOperator:
    return kind(Application(), name="writer", output_folder=folder, **options)


def test_every_other_output_has_an_operator() -> None:
    assert {each.writes for each in WRITERS} == {"report", "pdf", "sc", "rtstruct"}


@pytest.mark.parametrize("kind", WRITERS, ids=lambda kind: kind.writes)
def test_the_file_is_written_twice_alike(
    kind: type[OutputWriterOperator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cspine.operators.output_writer.chosen_series", lambda _: None)
    received = inputs(tmp_path / "ct")
    paths = [writer(kind, tmp_path / name).work(received).path for name in ("a", "b")]
    assert [path.relative_to(tmp_path / name) for path, name in zip(paths, ("a", "b"), strict=True)] == [
        Path(output_named(kind.writes).file)
    ] * 2
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if paths[0].suffix == ".dcm":
        assert "DEMONSTRATION" in dcmread(paths[0]).SeriesDescription


def test_a_dicom_object_needs_dicom_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspine.operators.output_writer.chosen_series", lambda _: None)
    received = inputs(tmp_path / "ct")
    ct = received[IMAGE].ct
    received[IMAGE] = CtImage(CtVolume(ct.hu_zyx, ct.affine_lps), PROVENANCE)
    with pytest.raises(DicomSourceNeededError):
        writer(operators.RtStructWriterOperator, tmp_path).work(received)
    assert writer(operators.ReportPageOperator, tmp_path).work(received).path.is_file()


def test_labels_of_another_operator_need_the_name_of_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cspine.operators.output_writer.chosen_series", lambda _: None)
    received = inputs(tmp_path / "ct")
    labels = received[SEG_IMAGE].vertebrae.labels
    received[SEG_IMAGE] = Image(np.asarray(labels.labels_zyx), placement(labels.affine_lps))
    with pytest.raises(UsageError):
        writer(operators.RtStructWriterOperator, tmp_path).work(received)
    named = writer(operators.RtStructWriterOperator, tmp_path, model_name="mine", model_version="2").work(received)
    assert [roi.ROIName for roi in dcmread(named.path).StructureSetROISequence] == ["C2", "C3", "T1"]
