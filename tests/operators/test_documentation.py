"""The applications of docs/guide/monai-developers.md run: foreign graphs with cspine's operators."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.io import nifti
from tests.builders.small_neck import MODELS, small_neck, write_neck
from tests.builders.warm_python import WarmPython

pytest.importorskip("holoscan")

ROOT = MODELS.parent
PAGE = (ROOT / "docs" / "guide" / "monai-developers.md").read_text()
SNIPPETS = {block.splitlines()[0][2:]: block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)}


@pytest.fixture(scope="module")
def folder(neck_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the snippets read. The names of the files say nothing about the order of the slices."""
    root = tmp_path_factory.mktemp("snippets")
    for number, path in enumerate(write_neck(root / "input", CtSeriesDescription(uid_seed="snippets"))):
        path.rename(path.with_name(f"{(number * 37) % 128:03d}.dcm"))
    (root / "model").symlink_to(neck_model)
    labels = small_neck()[1]
    nifti.write(root / "labels.nii.gz", labels.labels_zyx, labels.affine_lps)
    for name, text in SNIPPETS.items():
        (root / name).write_text(text)
    return root


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(warm_app: WarmPython, folder: Path) -> Run:
    """Run a snippet, by its name and with arguments."""
    environment = os.environ | {"HOLOSCAN_LOG_LEVEL": "ERROR"}
    return lambda *words: warm_app.run(words, cwd=folder, environment=environment)


def planes(file: Path) -> dict[tuple[str, tuple[float, ...]], np.ndarray]:
    """The mask of every frame by its segment and by the position of its plane in millimetres."""
    seg = hd.seg.segread(file)
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in seg.SegmentSequence}
    frames = np.atleast_3d(seg.pixel_array)
    found = {}
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        name = names[int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        found[name, tuple(round(float(value), 2) for value in position)] = frame.astype(bool)
    return found


def test_every_snippet_is_run() -> None:
    assert set(SNIPPETS) == {"reuse.py", "between.py", "swap.py", "change.py"}


def test_the_loader_gives_an_operator_of_the_sdk_its_series(folder: Path, run: Run) -> None:
    sink = """
from monai.deploy.core import Operator
from reuse import VolumeApp

class Sink(Operator):
    def setup(self, spec):
        spec.input("image")

    def compute(self, op_input, op_output, context):
        image = op_input.receive("image")
        print(image.asnumpy().shape, image.asnumpy().sum(), image.metadata()["affine"].tolist())

class App(VolumeApp):
    def compose(self):
        super().compose()
        (to_volume,) = [node for node in self.graph.get_nodes() if node.name == "to_volume"]
        self.add_flow(to_volume, Sink(self, name="sink"), {("image", "image")})

App().run()
"""
    (folder / "sink.py").write_text(sink)
    done = run("sink.py")
    assert done.returncode == 0, done.stderr
    ct, _ = small_neck()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ct.affine_lps
    shape, total, seen = re.fullmatch(r"(\(.*?\)) (-?\d+) (\[.*\])", done.stdout.strip().splitlines()[-1]).groups()
    assert shape == str(ct.hu_zyx.shape) and int(total) == int(ct.hu_zyx.astype(np.int64).sum())
    assert np.allclose(np.array(re.findall(r"-?\d+\.\d+", seen), float).reshape(4, 4), affine, atol=1e-3)


def test_between_operators_of_the_sdk_every_label_lies_at_its_position(folder: Path, run: Run) -> None:
    done = run("between.py")
    assert done.returncode == 0, done.stderr
    (theirs,) = (folder / "output" / "sdk").glob("*.dcm")
    by_list, by_position = planes(theirs), planes(folder / "output" / "own" / "dicom" / "segmentation.dcm")
    assert {name for name, _ in by_position} == {level.name for level in CERVICAL_LEVELS}
    assert by_list.keys() == by_position.keys()
    assert all(np.array_equal(by_list[key], by_position[key]) for key in by_position)


def test_another_network_is_named_in_the_object(folder: Path, run: Run) -> None:
    done = run("swap.py")
    assert done.returncode == 0, done.stderr
    seg = hd.seg.segread(folder / "output" / "dicom" / "segmentation.dcm")
    described = seg.SegmentSequence[-1]  # the first one is the background
    algorithm = described.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("my-network", "1.0")
    assert seg.SegmentationType == "LABELMAP" and described.SegmentAlgorithmType == "AUTOMATIC"


def test_a_changed_graph_keeps_options_results_and_exit_codes(folder: Path, run: Run) -> None:
    done = run("change.py", "-i", "input", "-o", "changed", "-m", "model", "--levels", "C3-C5")
    assert done.returncode == 0, done.stderr
    assert "labels: 3 4 5" in done.stdout
    assert (folder / "changed" / "dicom" / "segmentation.dcm").is_file()
    refused = run("change.py", "-i", "nothing", "-o", "refused")
    assert refused.returncode == 3 and "CS-IN-001" in refused.stderr
    assert not (folder / "refused").exists()
