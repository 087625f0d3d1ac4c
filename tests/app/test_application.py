"""The application as a container starts it: paths by flags and by environment, exit codes, the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import cspine
from cspine.cli.run import command
from cspine.core.volumes import LabelVolume
from cspine.dicom.clock import Clock
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg import SegSettings, write_segmentation
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.models.package import load_package
from tests.builders.small_neck import MODELS, write_neck
from tests.service.fakes import wait_for

pytest.importorskip("holoscan")

ROOT = MODELS.parent
SECRET = CtSeriesDescription(uid_seed="application", patient_name="SECRET^Surname", patient_id="PRIVATE-77")


@pytest.fixture(scope="module")
def neck(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("neck")
    write_neck(folder, SECRET)
    return folder


def environment_with(environment: dict[str, object]) -> dict[str, str]:
    return os.environ | {"SOURCE_DATE_EPOCH": "1700000000"} | {k: str(v) for k, v in environment.items()}


@pytest.fixture
def start(warm_app):
    """Start the application where its libraries are loaded already."""

    def run(*arguments: object, **environment: object):
        words = ["-m", "app", *(str(argument) for argument in arguments)]
        return warm_app.run(words, cwd=ROOT, environment=environment_with(environment))

    return run


def start_anew(*arguments: object, start_as: tuple[str, ...] = ("-m", "app"), **environment: object):
    return subprocess.run(
        [sys.executable, *start_as, *(str(argument) for argument in arguments)],
        cwd=ROOT,
        env=environment_with(environment),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def neck_sent_again(neck, neck_model, tmp_path_factory) -> Path:
    """The neck beside a result that an earlier run made of all but its first slices."""
    folder = tmp_path_factory.mktemp("again")
    for path in sorted(neck.iterdir())[8:]:
        shutil.copy(path, folder)
    ct = read_volume(scan_folder(folder).series[0])
    labels = np.zeros(ct.hu_zyx.shape, dtype=np.uint8)
    labels[5:9, 5:9, 5:9] = 3
    predicted = LabelVolume(labels, ct.affine_lps, load_package(neck_model).identity)
    write_segmentation(predicted, ct, SegSettings(Clock(datetime(2024, 1, 1, tzinfo=UTC))), folder / "earlier.dcm")
    for path in sorted(neck.iterdir())[:8]:
        shutil.copy(path, folder)
    return folder


def test_the_application_writes_the_bytes_of_the_command(neck_sent_again, neck_model, tmp_path, monkeypatch):
    output = tmp_path / "app"
    output.mkdir()
    done = start_anew(
        HOLOSCAN_INPUT_PATH=neck_sent_again,
        HOLOSCAN_OUTPUT_PATH=output,
        HOLOSCAN_MODEL_PATH=neck_model,
        CSPINE_INCOMPLETE=1,
    )
    assert done.returncode == 0, done.stderr
    # Nothing but what is worth a warning, and nothing of Holoscan.
    warned = done.stderr.splitlines()
    assert warned and all(" WARNING finding CS-FND-" in line for line in warned)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    words = [str(neck_sent_again), str(tmp_path / "command"), "--model", str(neck_model), "--incomplete"]
    assert CliRunner().invoke(command, words).exit_code == 0
    for name in (
        "dicom/segmentation.dcm", "dicom/measurements.dcm", "report/preview.png", "report/report.html",
        "report/measurements.csv",
    ):  # fmt: skip
        assert (output / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    both = [json.loads((folder / "report/summary.json").read_text()) for folder in (output, tmp_path / "command")]
    assert both[0]["findings"] == both[1]["findings"] and both[0]["supersedes"] == both[1]["supersedes"]
    assert len(both[0]["supersedes"]) == 1
    assert {"CS-FND-015", "CS-FND-017"} <= {finding["code"] for finding in both[0]["findings"]}
    assert sorted(path.name for path in output.iterdir()) == ["dicom", "report"]
    assert "SECRET" not in done.stdout + done.stderr and "PRIVATE" not in done.stdout + done.stderr


def test_the_application_writes_the_levels_that_the_environment_names(neck, neck_model, tmp_path, start):
    output = tmp_path / "app"
    output.mkdir()
    environment = {
        "HOLOSCAN_INPUT_PATH": neck,
        "HOLOSCAN_OUTPUT_PATH": output,
        "HOLOSCAN_MODEL_PATH": neck_model,
    }
    refused = start(**environment, CSPINE_LEVELS="C1-C9")
    assert refused.returncode == 2 and "CS-USE-001" in refused.stderr
    assert not list(output.iterdir())
    done = start(
        "--seg-type", "labelmap", "--step-size", "1", "--outputs", "seg,summary", **environment, CSPINE_LEVELS="C3-C5"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((output / "report/summary.json").read_text())
    assert [(each["kind"]) for each in summary["outputs"]] == ["SEG LABELMAP", "Measurements"]
    assert [path.name for path in sorted((output / "report").iterdir())] == ["measurements.csv", "summary.json"]
    assert (summary["settings"]["seg_type"], summary["settings"]["step_size"]) == ("labelmap", "1")
    assert [vertebra["level"] for vertebra in summary["vertebrae"]] == ["C3", "C4", "C5"]
    assert summary["settings"]["levels"] == "C3-C5"


def test_the_application_writes_the_outputs_that_the_environment_names(
    bright_study, bright_model, tmp_path, monkeypatch, start
):
    environment = {"HOLOSCAN_INPUT_PATH": bright_study, "HOLOSCAN_MODEL_PATH": bright_model}
    for outputs, files in (
        ("nifti", ["report/labels.json", "report/labels.nii.gz"]),
        ("seg,summary", ["dicom/segmentation.dcm", "report/measurements.csv", "report/summary.json"]),
    ):
        out = tmp_path / outputs
        out.mkdir()
        done = start(**environment, HOLOSCAN_OUTPUT_PATH=out, CSPINE_OUTPUTS=outputs)
        assert done.returncode == 0, done.stderr
        assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == files
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    cspine.segment(bright_study, bright_model).save(tmp_path / "api")
    written = (tmp_path / "seg,summary" / "dicom" / "segmentation.dcm").read_bytes()
    assert written == (tmp_path / "api" / "dicom" / "segmentation.dcm").read_bytes()
    refused = start(**environment, HOLOSCAN_OUTPUT_PATH=tmp_path, CSPINE_OUTPUTS="nonsense")
    assert refused.returncode == 2 and "CS-USE-001" in refused.stderr


def test_an_error_in_an_operator_gives_its_own_exit_code_and_no_output(neck, tmp_path):
    broken, output = tmp_path / "broken", tmp_path / "out"
    broken.mkdir()
    output.mkdir()
    for number, path in enumerate(sorted(neck.iterdir())):
        if number != 40:
            (broken / path.name).write_bytes(path.read_bytes())
    done = start_anew(
        "-i", broken, "-o", output, "-m", MODELS / "cervical-demo", start_as=(str(ROOT / "app" / "__main__.py"),)
    )
    assert done.returncode == 5
    assert "CS-GEO-002" in done.stderr and "Advice:" in done.stderr
    assert len(done.stderr.splitlines()) == 2 and done.stdout == ""
    assert list(output.iterdir()) == []


def test_a_model_folder_without_models_gives_the_exit_code_of_models(neck, tmp_path, start):
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.yaml").write_text("name: [")
    (tmp_path / "out").mkdir()
    done = start("-i", neck, "-o", tmp_path / "out", "-m", tmp_path / "models")
    assert done.returncode == 7
    assert "CS-MOD" in done.stderr


def test_a_model_folder_that_is_not_there_never_ends_in_a_demonstration(neck, tmp_path, start):
    (tmp_path / "out").mkdir()
    done = start(
        HOLOSCAN_INPUT_PATH=neck, HOLOSCAN_OUTPUT_PATH=tmp_path / "out", HOLOSCAN_MODEL_PATH=tmp_path / "no-models"
    )
    assert done.returncode == 7
    assert "CS-MOD-002" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_graph_is_composed_without_arguments_of_python(neck, tmp_path, warm_app):
    (tmp_path / "compose.py").write_text(
        "from cspine.app.app import CSpineApp\n"
        "app = CSpineApp()\n"
        "app.compose_graph()\n"
        "print(*sorted(node.name for node in app.graph.get_nodes()))\n"
        "print(app.operators['inference'].inference.device, app.operators['seg_writer'].output_folder)\n"
    )
    environment = environment_with(
        {"HOLOSCAN_INPUT_PATH": neck, "HOLOSCAN_OUTPUT_PATH": tmp_path / "o", "CSPINE_DEVICE": "cpu"}
    )
    done = warm_app.run([str(tmp_path / "compose.py")], cwd=ROOT, environment=environment)
    assert done.returncode == 0, done.stderr
    names, parameters = done.stdout.strip().splitlines()[-2:]
    assert names == "inference loader postprocessing reader report_writer seg_writer sr_writer"
    assert parameters == f"cpu {tmp_path / 'o'}"
    assert not (tmp_path / "o").exists()


def test_the_module_with_the_graph_can_be_started_by_its_path(tmp_path):
    (tmp_path / "empty").mkdir()
    done = start_anew("-i", tmp_path / "empty", start_as=(str(ROOT / "app" / "app.py"),), PYTHONPATH=ROOT)
    assert done.returncode == 3
    assert "CS-IN-002" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_application_leaves_nothing_behind(neck, tmp_path, end, warm_app):
    words = ["-m", "app", "-i", str(neck), "-o", str(tmp_path), "-m", str(MODELS / "cervical-demo"), "-l", "INFO"]
    job = warm_app.start(words, cwd=ROOT, environment=environment_with({}))
    wait_for(lambda: "model:" in job.errors(), 60)
    os.kill(job.pid, end)
    assert job.wait().returncode == 128 + end
    assert list(tmp_path.iterdir()) == []


def test_the_application_package_has_the_version_of_cspine():
    *_, settings = yaml.safe_load_all((ROOT / "app.yaml").read_text())
    assert settings["application"]["version"] == cspine.__version__
