"""The processes of a training, played by a small shell script: order, devices, ends."""

import os
import stat

import pytest

from cspine.core.errors import DeviceError, TrainingError
from cspine.study.training import children
from cspine.study.training.children import Machine, Step, last_line, machine_of, run_steps
from cspine.study.training.run_folder import RunFolder
from tests.builders.raises import raises_code

CPU = Machine(("cpu",), 2)
#: Marks every step that it is given, as the child does, and notes which GPU it saw.
DOES_IT = """
run=$3
while [ "$1" != --device ]; do shift; done
shift 2
for step; do
  echo "$step on ${CUDA_VISIBLE_DEVICES:-cpu}" >> "$run/seen"
  mkdir -p "$run/done"
  echo '{}' > "$run/done/$(echo "$step" | tr ' ' _).json"
done
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "_LOOK_EVERY_S", 0.05)
    return RunFolder(tmp_path / "run", "Dataset501_Tiny")


@pytest.fixture
def child(tmp_path, monkeypatch):
    def plays(text):
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(children.sys, "executable", str(script))

    return plays


def run(folder, steps, machine=CPU):
    reported = []
    with folder.locked() as lock:
        run_steps(steps, folder, machine, lock, lambda done, total: reported.append((done, total)))
    return reported


def fold(number):
    return Step(("fold", "3d_fullres", str(number)))


def test_on_a_cpu_one_process_does_the_remaining_steps(folder, child):
    child(DOES_IT)
    with folder.locked():
        folder.mark_done("plan")
    run(folder, [Step(("plan",)), fold(0), fold(1)])
    assert (folder.root / "seen").read_text().splitlines() == ["fold 3d_fullres 0 on cpu", "fold 3d_fullres 1 on cpu"]
    child("exit 1")  # nothing is left: nothing is started
    run(folder, [Step(("plan",)), fold(0), fold(1)])


def test_each_gpu_has_a_fold_at_a_time_and_sees_only_itself(folder, child, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    child(f"{DOES_IT}\nsleep 0.2")
    run(folder, [fold(number) for number in range(4)], Machine(("cuda:0", "cuda:1"), 8))
    seen = sorted((folder.root / "seen").read_text().splitlines())
    assert [line.partition(" on ")[0] for line in seen] == [f"fold 3d_fullres {number}" for number in range(4)]
    assert {line.partition(" on ")[2] for line in seen} == {"4", "6"}


@pytest.mark.parametrize(
    ("says", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("torch.OutOfMemoryError: CUDA out of memory", "`patch_size`"),
        ("RuntimeError: Some background worker is 6 feet under. Yuck.", "`processes`"),
        ("cspine.core.errors.study.TrainingError: [CS-TRN-001] checkpoint_latest.pth is damaged", "Remove that file"),
        ("ValueError: whatever", "The log is "),
    ],
)
def test_a_step_that_fails_is_named_with_its_last_words(folder, child, says, advice):
    child(f"echo '{says}'\nexit 1")
    with raises_code(TrainingError, "fold 3d_fullres 0") as failed:
        run(folder, [fold(0)])
    assert says in failed.value.message and advice in failed.value.advice
    assert f"The log is {folder.logs / 'start.log'}" in failed.value.advice
    assert not folder.is_done("fold 3d_fullres 0")


def test_a_killed_process_is_reported_with_its_signal(folder, child):
    child("kill -9 $$")
    with raises_code(TrainingError, "fold 3d_fullres 0", "SIGKILL") as failed:
        run(folder, [fold(0)])
    assert "memory" in failed.value.advice and "last checkpoint" in failed.value.advice


def test_a_process_that_ends_without_its_work_has_failed(folder, child):
    child("exit 0")
    with raises_code(TrainingError, "fold 3d_fullres 0"):
        run(folder, [fold(0)])


def test_when_a_fold_fails_the_others_are_ended(folder, child):
    child('case "$*" in *" 0") sleep 0.3; exit 1;; esac\necho $$ > "$3/pid"\nexec sleep 60')
    with raises_code(TrainingError, "fold 3d_fullres 0"):
        run(folder, [fold(0), fold(1)], Machine(("cuda:0", "cuda:1"), 2))
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder.root / "pid").read_text()), 0)


def test_progress_is_reported_when_it_changes(folder, child, tmp_path):
    table = tmp_path / "epochs.csv"
    header = "epoch,of,train_loss,validation_loss,pseudo_dice,learning_rate,seconds"
    child(f"printf '{header}\\n0,2,1,1,0,0.01,1.0\\n' > {table}\nsleep 0.4\nprintf '1,2,1,1,0,0.01,1.0\\n' >> {table}"
          f"\nsleep 0.4\n{DOES_IT}")  # fmt: skip
    assert run(folder, [Step(("fold", "3d_fullres", "0"), table)]) == [(1, 2), (2, 2)]


def test_the_last_line_that_says_something(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == "its log cannot be read"
    log.write_text("\n \n")
    assert last_line(log) == "its log is empty"
    log.write_bytes(b"x" * 30_000 + b"\nValueError: \xff no\n\n")
    assert last_line(log).startswith("ValueError: ")


def test_devices(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert machine_of("auto", 12) == machine_of("cuda", 12) == Machine(("cuda:0", "cuda:1", "cuda:2"), 12)
    assert machine_of("cuda:2,0", 12).devices == ("cuda:0", "cuda:2")
    assert machine_of("cuda:0,2", 12).for_each == 6 and machine_of("cuda:0", 1).on_gpu
    assert machine_of("cpu", 4) == Machine(("cpu",), 4) and not machine_of("cpu", 4).on_gpu
    for wrong in ("cuda:3", "cuda:x", "cuda:", "tpu", "tpu:0"):
        with pytest.raises(DeviceError):
            machine_of(wrong, 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine_of("auto", 4) == Machine(("cpu",), 4)
    with raises_code(DeviceError, "cuda", 0):
        machine_of("cuda", 4)
