"""Errors of model packages (CS-MOD)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError


class ModelError(CSpineError):
    """A model package cannot be used."""

    code = "CS-MOD-001"
    exit_code = 7
    advice = "Run `cspine models verify NAME` to see what is wrong, or install the package again."


class ModelNotFoundError(ModelError):
    """The model package was not found."""

    code = "CS-MOD-002"
    advice = "Run `cspine models list` to see what is installed, or `cspine models install` to add a package."


class ModelChecksumError(ModelError):
    """A file of the model package does not match its manifest."""

    code = "CS-MOD-003"
    advice = "The package was modified or damaged. Install it again from its source."


class UnsafeCheckpointError(ModelError):
    """A checkpoint contains more than tensors and plain values, so that loading it could run code."""

    code = "CS-MOD-004"
    advice = "Do not use this file. Ask its author for a checkpoint saved by stock nnU-Net v2."


class UnsupportedModelError(ModelError):
    """The network, the configuration or the trainer is not supported."""

    code = "CS-MOD-005"
    advice = "Use an nnU-Net v2 model with a U-Net of dynamic_network_architectures; a cascade needs its first stage."


class LabelMapNeededError(ModelError):
    """Labels of dataset.json are not recognised as vertebrae."""

    code = "CS-MOD-006"
    advice = (
        "Give `labels`: a mapping (on the command line a YAML file) of each network label to C1..L6 or 'auxiliary'."
    )


class OrientationNeededError(ModelError):
    """The orientation of the training images is unknown."""

    code = "CS-MOD-007"
    advice = "Pass `orientation` with the orientation of the training images, for example LPS or RAS."


class ModelExistsError(ModelError):
    """A model package of this name is already installed."""

    code = "CS-MOD-008"
    advice = "Choose another `name`, or replace the package with `force`."


class NotCalibratedError(ModelError):
    """The confidence that is wanted was not calibrated for the model."""

    code = "CS-MOD-009"
    advice = "Run `cspine models calibrate MODEL --full` on cases with reference labels, or set `confidence` to fast."
