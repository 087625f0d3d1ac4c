"""The checked plan of one configuration, from nnU-Net's `plans.json` and `dataset.json`.

Every name that nnU-Net would look up and call is first compared with an allow-list here: nothing in a package
decides which code runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from cspine.core.errors import UnsupportedModelError
from cspine.models.plan_limits import (
    MAX_CLASSES,
    intensities_of,
    patch_of,
    require_network,
    require_resampling,
    spacing_of,
    transposition_of,
    whole,
)

Json = Mapping[str, Any]

#: Resampling functions of nnU-Net that cspine supports.
RESAMPLING: dict[str, Callable[..., NDArray[np.float32] | torch.Tensor]] = {
    "resample_data_or_seg_to_shape": resample_data_or_seg_to_shape,
    "resample_torch_fornnunet": resample_torch_fornnunet,
}
NORMALIZATIONS = ("CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization")

_UNETS = "dynamic_network_architectures.architectures.unet"
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
_BLOCKS = "dynamic_network_architectures.building_blocks.residual"
_BLOCK_NAMES = ("BasicBlockD", "BottleneckD")
# These trainers replace the network of the plans.
_OTHER_NETWORK_TRAINERS = ("nnUNetTrainerBN", "nnUNet_Primus")


@dataclass(frozen=True)
class Resampling:
    """A resampling function of nnU-Net with its arguments.

    Parameters
    ----------
    name : str
        A key of `RESAMPLING`.
    arguments : dict
        Keyword arguments of the plans.
    """

    name: str
    arguments: Json = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., NDArray[np.float32] | torch.Tensor]:
        """The function of nnU-Net, without its arguments."""
        return RESAMPLING[self.name]


@dataclass(frozen=True)
class Normalization:
    """The normalisation of intensities for the network.

    Parameters
    ----------
    scheme : str
        One of `NORMALIZATIONS`.
    masked : bool
        True if mean and standard deviation are those of the nonzero region only.
    intensities : dict
        nnU-Net's ``foreground_intensity_properties`` of the channel.
    """

    scheme: str
    masked: bool
    intensities: Mapping[str, float]


@dataclass(frozen=True)
class NetworkArchitecture:
    """The network that the plans describe, with allow-listed names only.

    Parameters
    ----------
    class_name : str
        Full name of a class of `dynamic_network_architectures`.
    arguments : dict
        Keyword arguments, with classes as full names.
    imported : tuple of str
        Arguments that are names of classes.
    classes : int
        Output channels, background included.
    channels : int
        Input channels.
    """

    class_name: str
    arguments: Json
    imported: tuple[str, ...]
    classes: int
    channels: int = 1


@dataclass(frozen=True)
class NetworkPlan:
    """The plan of one configuration for inference; axes are those of the network's array.

    Parameters
    ----------
    configuration : str
        Its name.
    patch_size : tuple of int
        Three numbers, or two for a 2D network.
    spacing_mm : tuple of float
        Voxel size of the network's grid, as many numbers as ``patch_size``.
    transpose_forward, transpose_backward : tuple of int
        Order of axes from the image's (z, y, x) to the network's array, and back.
    normalization : Normalization
        Normalisation of the CT channel.
    resample_data, resample_logits : Resampling
        Resampling to the network's grid, and back.
    architecture : NetworkArchitecture
        Network to build.
    reader : str
        Name of the class that read the training images.
    dataset_name : str
        Name of the data set in the plans.
    label_names : dict
        Network label (1 ..) to its name in `dataset.json`.
    resample_previous : Resampling or None
        For the second stage of a cascade: resampling of the first stage's labels to the network's grid, one mask at
        a time; these channels follow the CT.
    """

    configuration: str
    patch_size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    transpose_forward: tuple[int, int, int]
    transpose_backward: tuple[int, int, int]
    normalization: Normalization
    resample_data: Resampling
    resample_logits: Resampling
    architecture: NetworkArchitecture
    reader: str
    dataset_name: str
    label_names: Mapping[int, str]
    resample_previous: Resampling | None = None

    @property
    def is_cascade(self) -> bool:
        """Whether the network takes the labels of a first stage as input."""
        return self.resample_previous is not None


def read_plan(plans: Json, dataset: Json, configuration: str, trainer: str = "nnUNetTrainer") -> NetworkPlan:
    """Return the plan of a configuration for inference.

    Parameters
    ----------
    plans, dataset : mapping
        Content of `plans.json` and `dataset.json` (nnU-Net v2).
    configuration : str
        For example ``"3d_fullres"``.
    trainer : str
        Name of the trainer, which may have replaced the network of the plans.

    Raises
    ------
    UnsupportedModelError
        If it needs what cspine does not support: several channels, regions, custom networks or functions.
    """
    if trainer.startswith(_OTHER_NETWORK_TRAINERS):
        raise UnsupportedModelError(f"trainer {trainer} replaces the network of plans.json")
    _only(plans.get("label_manager", "LabelManager"), ("LabelManager",), "label manager")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected old nnU-Net plans format")
            manager = PlansManager(dict(plans))
            if configuration not in manager.available_configurations:
                raise UnsupportedModelError(f"plans.json has no configuration {configuration!r}")
            settings = manager.get_configuration(configuration)
        return _plan(manager, settings, dataset, configuration)
    except UnsupportedModelError:
        raise
    except Exception as error:  # whatever nnU-Net's managers raise for values of other types
        raise UnsupportedModelError(f"plans.json and dataset.json are not of nnU-Net v2: {error!r:.200}") from error


def _plan(manager: PlansManager, settings: ConfigurationManager, dataset: Json, name: str) -> NetworkPlan:
    _only(settings.preprocessor_name, ("DefaultPreprocessor",), "preprocessor")
    channels = dataset["modality"] if "modality" in dataset else dataset["channel_names"]
    if len(channels) != 1 or len(settings.normalization_schemes) != 1:
        count = max(len(channels), len(settings.normalization_schemes))
        raise UnsupportedModelError(f"the network needs {count} channels, but a CT has one")
    labels = _label_names(dataset)
    forward = transposition_of(manager.plans["transpose_forward"], "transpose_forward")
    backward = transposition_of(manager.plans["transpose_backward"], "transpose_backward")
    if tuple(int(i) for i in np.argsort(forward)) != backward:
        raise UnsupportedModelError("transpose_backward is not the inverse of transpose_forward")
    patch = patch_of(settings.configuration["patch_size"])
    spacing = spacing_of(settings.configuration["spacing"], len(patch))
    scheme = _only(settings.normalization_schemes[0], NORMALIZATIONS, "normalisation")
    intensities = manager.foreground_intensity_properties_per_channel["0"]
    cascade = settings.previous_stage_name is not None
    if cascade and len(patch) != 3:
        raise UnsupportedModelError(f"{name} is a cascade with a 2D second stage")
    return NetworkPlan(
        configuration=name,
        patch_size=patch,
        spacing_mm=spacing,
        transpose_forward=forward,
        transpose_backward=backward,
        normalization=Normalization(
            scheme,
            bool(settings.use_mask_for_norm[0]),
            intensities_of(intensities, scheme),
        ),
        resample_data=_resampling(settings.configuration, "resampling_fn_data"),
        resample_logits=_resampling(settings.configuration, "resampling_fn_probabilities"),
        architecture=_architecture(settings, patch, len(labels) + 1, len(labels) + 1 if cascade else 1),
        reader=str(manager.plans.get("image_reader_writer", "")),
        dataset_name=str(manager.plans.get("dataset_name", dataset.get("name", "model"))),
        label_names=labels,
        resample_previous=_resampling_of_labels(settings.configuration) if cascade else None,
    )


def _only(value: object, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise UnsupportedModelError(f"{what} {value!r} is not supported; cspine supports {', '.join(allowed)}")
    return str(value)


def _label_names(dataset: Json) -> dict[int, str]:
    """Return the name of each network label, without the ignore label, which has no output."""
    names: dict[int, str] = {}
    for name, value in dataset["labels"].items():
        if name == "ignore":
            continue
        values = value if isinstance(value, (list, tuple)) else [value]
        if len(values) != 1:
            raise UnsupportedModelError(f"label {name!r} is a region of several labels; regions are not supported")
        names[whole(values[0], 0, MAX_CLASSES, f"label {name!r}")] = str(name)
    if names.pop(0, None) != "background" or sorted(names) != list(range(1, len(names) + 1)) or not names:
        raise UnsupportedModelError("the labels of dataset.json must be background 0 and 1, 2, 3 ... without a gap")
    return dict(sorted(names.items()))


def _resampling(configuration: Json, key: str) -> Resampling:
    name = _only(configuration[key], tuple(RESAMPLING), "resampling function")
    arguments = dict(configuration.get(f"{key}_kwargs") or {})
    if arguments.get("is_seg"):
        raise UnsupportedModelError(f"{key} treats an image as labels")
    # The device and number of threads are those of this machine, not of the one that trained.
    for machine in ("device", "num_threads"):
        arguments.pop(machine, None)
    require_resampling(RESAMPLING[name], arguments, key)
    return Resampling(name, arguments)


def _resampling_of_labels(configuration: Json) -> Resampling:
    """Return the resampling of labels, which nnU-Net applies to one mask at a time, as to an image."""
    key = "resampling_fn_seg"
    name = _only(configuration[key], ("resample_data_or_seg_to_shape",), "resampling function of labels")
    arguments = dict(configuration.get(f"{key}_kwargs") or {})
    require_resampling(RESAMPLING[name], arguments, key)
    return Resampling(name, arguments | {"is_seg": False})


def _architecture(
    settings: ConfigurationManager, patch: tuple[int, ...], classes: int, channels: int
) -> NetworkArchitecture:
    imported = tuple(settings.network_arch_init_kwargs_req_import)
    arguments = dict(settings.network_arch_init_kwargs)
    for key, value in arguments.items():
        if key in imported:
            if value is not None:
                arguments[key] = _building_block(str(value))
        elif isinstance(value, str):
            raise UnsupportedModelError(f"network argument {key} is a string: {value!r}")
    module, _, name = str(settings.network_arch_class_name).rpartition(".")
    if not module.startswith("dynamic_network_architectures.architectures.") or name not in _NETWORKS:
        raise UnsupportedModelError(
            f"network {module}.{name} is not supported; cspine supports {', '.join(_NETWORKS)} of {_UNETS}"
        )
    arguments.pop("deep_supervision", None)
    require_network(arguments, patch, channels, classes)
    return NetworkArchitecture(f"{_UNETS}.{name}", arguments, imported, classes, channels)


def _building_block(full_name: str) -> str:
    """Return the full name of a layer of torch.nn or an allowed block, or raise UnsupportedModelError."""
    module, _, name = full_name.rpartition(".")
    if module == _BLOCKS and name in _BLOCK_NAMES:
        return full_name
    layer = getattr(torch.nn, name, None)
    from_torch = module == "torch.nn" or module.startswith("torch.nn.modules.")
    if from_torch and isinstance(layer, type) and issubclass(layer, torch.nn.Module):
        return f"torch.nn.{name}"
    raise UnsupportedModelError(f"network argument {full_name!r} is not a layer of torch.nn")
