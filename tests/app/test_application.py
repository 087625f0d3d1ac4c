"""The application as a container starts it: paths by flags and by environment, exit codes, the same bytes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import cspine
from cspine.cli.run import command
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.small_neck import MODELS, write_neck

pytest.importorskip("holoscan")

ROOT = MODELS.parent
SECRET = CtSeriesDescription(uid_seed="application", patient_name="SECRET^Surname", patient_id="PRIVATE-77")


@pytest.fixture(scope="module")
def neck(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("neck")
    write_neck(folder, SECRET)
    return folder


def start(*arguments: object, start_as: tuple[str, ...] = ("-m", "app"), **environment: object):
    return subprocess.run(
        [sys.executable, *start_as, *(str(argument) for argument in arguments)],
        cwd=ROOT,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"} | {k: str(v) for k, v in environment.items()},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_application_writes_the_bytes_of_the_command(neck, tmp_path, monkeypatch):
    output = tmp_path / "app"
    output.mkdir()
    done = start(HOLOSCAN_INPUT_PATH=neck, HOLOSCAN_OUTPUT_PATH=output, HOLOSCAN_MODEL_PATH=MODELS)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert CliRunner().invoke(command, [str(neck), str(tmp_path / "command")]).exit_code == 0
    for name in ("dicom/segmentation.dcm", "report/preview.png"):
        assert (output / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    assert sorted(path.name for path in output.iterdir()) == ["dicom", "report"]
    assert "SECRET" not in done.stdout + done.stderr and "PRIVATE" not in done.stdout + done.stderr


def test_an_error_in_an_operator_gives_its_own_exit_code_and_no_output(neck, tmp_path):
    broken, output = tmp_path / "broken", tmp_path / "out"
    broken.mkdir()
    output.mkdir()
    for number, path in enumerate(sorted(neck.iterdir())):
        if number != 40:
            (broken / path.name).write_bytes(path.read_bytes())
    done = start("-i", broken, "-o", output, "-m", MODELS, start_as=(str(ROOT / "app" / "__main__.py"),))
    assert done.returncode == 5
    assert "CS-GEO-002" in done.stderr and "Advice:" in done.stderr
    assert list(output.iterdir()) == []


def test_a_model_folder_without_models_gives_the_exit_code_of_models(neck, tmp_path):
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.yaml").write_text("name: [")
    (tmp_path / "out").mkdir()
    done = start("-i", neck, "-o", tmp_path / "out", "-m", tmp_path / "models")
    assert done.returncode == 7
    assert "CS-MOD" in done.stderr


def test_a_model_folder_that_is_not_there_never_ends_in_a_demonstration(neck, tmp_path):
    (tmp_path / "out").mkdir()
    done = start(
        HOLOSCAN_INPUT_PATH=neck, HOLOSCAN_OUTPUT_PATH=tmp_path / "out", HOLOSCAN_MODEL_PATH=tmp_path / "no-models"
    )
    assert done.returncode == 7
    assert "CS-MOD-002" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_application_leaves_nothing_behind(neck, tmp_path, end):
    arguments = ["-m", "app", "-i", str(neck), "-o", str(tmp_path), "-m", str(MODELS)]
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as job:
        for line in job.stderr:
            if b"model:" in line:
                break
        job.send_signal(end)
        job.stderr.read()
        assert job.wait(timeout=60) == 128 + end
    assert list(tmp_path.iterdir()) == []


def test_the_application_package_has_the_version_of_cspine():
    *_, settings = yaml.safe_load_all((ROOT / "app.yaml").read_text())
    assert settings["application"]["version"] == cspine.__version__
