"""What is set on nnU-Net's trainers; that they train is shown in test_train.py."""

import pytest
import torch

from cspine.core.errors import TrainingError
from cspine.study.training import nnunet_steps
from cspine.study.training.settings import TrainingSettings
from tests.builders.raises import raises_code


class Trainer:
    """What nnU-Net's trainer has of the things that are set."""

    num_epochs, num_iterations_per_epoch, num_val_iterations_per_epoch, initial_lr = 1000, 250, 50, 0.01
    inference_allowed_mirroring_axes = (0, 1, 2)

    def load_checkpoint(self, path):
        torch.load(path, weights_only=True)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):  # noqa: N802 - nnU-Net's name
        self.inference_allowed_mirroring_axes = (0, 1, 2)
        return "rotation", False, (16, 16, 16), (0, 1, 2)


def test_only_what_was_asked_for_is_changed():
    trainer = Trainer()
    nnunet_steps._set_length(trainer, TrainingSettings())
    assert vars(trainer) == {}
    nnunet_steps._set_length(trainer, TrainingSettings(epochs=3, learning_rate=0.1))
    assert vars(trainer) == {"num_epochs": 3, "initial_lr": 0.1}


def test_no_patch_is_mirrored_and_no_prediction():
    trainer = Trainer()
    nnunet_steps._leave_mirroring(trainer)
    settings = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert settings == ("rotation", False, (16, 16, 16), None)
    assert trainer.inference_allowed_mirroring_axes is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "checkpoint_latest.pth"
    path.write_bytes(content)
    with raises_code(TrainingError, "checkpoint_latest.pth"):
        nnunet_steps._go_on_from(path, Trainer())
