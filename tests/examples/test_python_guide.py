"""The notebook and the code blocks of docs/guide/python.md run, with a tiny model as the shipped one."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cspine.pipeline.outputs import OUTPUTS
from tests.builders.bright_studies import BrightModel

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide" / "python.md"
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data folder with a model of the shipped one's name, which calls what is bright C3."""
    data = tmp_path_factory.mktemp("data")
    labels = {"background": 0, "C2": 1, "C3": 2, "T2 and below": 3}
    BrightModel(labels=labels).package(data / "cspine" / "models" / "cervical-demo")
    return data


@pytest.fixture
def folder(models: Path, bright_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``neck-ct``, as examples/ has it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(models))
    monkeypatch.delenv("HOLOSCAN_MODEL_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bright_study, tmp_path / "neck-ct")
    return tmp_path


def _run_cell(source: str, namespace: dict[str, Any]) -> Any:
    """Execute a cell as a notebook does; return the value of its last line, where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], set(notebook)) == (4, {"cells", "metadata", "nbformat", "nbformat_minor"})
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("markdown", "code") and isinstance(cell["source"], list)
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_the_notebook_runs(folder: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    namespace: dict[str, Any] = {}
    values = [
        _run_cell("".join(cell["source"]), namespace) for cell in notebook["cells"] if cell["cell_type"] == "code"
    ]
    assert values[1]._repr_html_().count("data:image/png;base64,") == 1
    assert values[-1] == [
        "dicom/segmentation.dcm", "dicom/measurements.dcm", "report/preview.png", "report/report.html",
        "report/measurements.csv",
    ]  # fmt: skip
    assert (folder / "out" / "dicom" / "segmentation.dcm").is_file() and (folder / "labels.nii.gz").is_file()


def test_the_guide_lists_what_is_written_by_default() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for index, source in enumerate(("DICOM", "NIfTI, or an image in memory")):
        (row,) = re.findall(rf"^\| {source} \| (.*) \|$", text, re.MULTILINE)
        written = [file for output in OUTPUTS if output.by_default[index] for file in output.files]
        assert re.findall(r"`([^`]+)`", row) == written
    (names,) = re.findall(r"a CT that is not DICOM, ([^.]*) raise\s+`DicomSourceNeededError`", text)
    assert re.findall(r"`(\w+)`", names) == [output.name for output in OUTPUTS if output.needs_dicom]


def test_the_guide_runs_from_top_to_bottom(folder: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    for block in blocks:
        _run_cell(block, namespace)
    assert len(blocks) >= 7
    (score,) = namespace["found"].scores()
    assert (score["level"], score["dice"]) == ("C3", 1.0)
    assert [(case.name, case.is_there()) for case in namespace["copies"]] == [("ct-above-C3", True)]
    assert (folder / "predictions" / "sources.csv").is_file() and (folder / "evaluation" / "sheet.png").is_file()
    assert not (folder / "out-seg").exists()
