"""The checked plan of one configuration, from nnU-Net's `plans.json` and `dataset.json`.

Every name that nnU-Net would look up and call is first compared with an allow-list here: nothing in a package
decides which code runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import UnsupportedModelError
from cspine.models.plan_limits import (
    MAX_CLASSES,
    integer,
    intensities_of,
    patch_of,
    require_network,
    require_resampling,
    spacing_of,
    transposition_of,
)

if TYPE_CHECKING:
    import torch

Json = Mapping[str, Any]

_OF_BOTH = ("is_seg", "force_separate_z", "separate_z_anisotropy_threshold")
_MODULES = "nnunetv2.preprocessing.resampling"
#: Resampling functions of nnU-Net that cspine supports: the module of each, and arguments that plans may give it.
RESAMPLING: dict[str, tuple[str, tuple[str, ...]]] = {
    "resample_data_or_seg_to_shape": (f"{_MODULES}.default_resampling", (*_OF_BOTH, "order", "order_z")),
    "resample_torch_fornnunet": (
        f"{_MODULES}.resample_torch",
        (*_OF_BOTH, "memefficient_seg_resampling", "mode", "aniso_axis_mode"),
    ),
}
NORMALIZATIONS = ("CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization")

_UNETS = "dynamic_network_architectures.architectures.unet"
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
_BLOCKS = "dynamic_network_architectures.building_blocks.residual"
_BLOCK_NAMES = ("BasicBlockD", "BottleneckD")
# Layers of torch.nn that nnU-Net's planners write; others are looked up in torch.
_USUAL_LAYERS = frozenset(
    ("LeakyReLU", "ReLU", *(f"{name}{n}d" for name in ("Conv", "InstanceNorm", "BatchNorm", "Dropout") for n in (2, 3)))
)
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
        """The function of nnU-Net, without its arguments; nnU-Net and torch are loaded when it is asked for."""
        module, _ = RESAMPLING[self.name]
        function: Callable[..., NDArray[np.float32] | torch.Tensor] = getattr(import_module(module), self.name)
        return function


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
        if configuration not in plans["configurations"]:
            raise UnsupportedModelError(f"plans.json has no configuration {configuration!r}")
        return _plan(plans, _current_format(_configuration(plans, configuration)), dataset, configuration)
    except UnsupportedModelError:
        raise
    except Exception as error:  # whatever values of other types make raise
        raise UnsupportedModelError(f"plans.json and dataset.json are not of nnU-Net v2: {error!r:.200}") from error


def _configuration(plans: Json, name: str, children: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a configuration with what it inherits, as nnU-Net's PlansManager resolves it."""
    if name in children:
        raise UnsupportedModelError(f"configuration {name!r} inherits from itself")
    configuration: dict[str, Any] = dict(plans["configurations"][name])
    parent = configuration.get("inherits_from")
    inherited = {} if parent is None else _configuration(plans, str(parent), (*children, name))
    return inherited | configuration


def _current_format(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the architecture of the network, which plans of nnU-Net before 2.5 lack."""
    if "architecture" in configuration:
        return configuration
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected old nnU-Net plans format")
        completed: dict[str, Any] = ConfigurationManager(dict(configuration)).configuration
    return completed


def _intensities(plans: Json) -> Json:
    """Return the properties of the CT channel under the name that this version of nnU-Net, or an older one, uses."""
    names = ("foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality")
    properties: Json = plans[next((name for name in names if name in plans), names[0])]["0"]
    return properties


def _plan(plans: Json, settings: Json, dataset: Json, name: str) -> NetworkPlan:
    _only(settings["preprocessor_name"], ("DefaultPreprocessor",), "preprocessor")
    channels = dataset["modality"] if "modality" in dataset else dataset["channel_names"]
    if len(channels) != 1 or len(settings["normalization_schemes"]) != 1:
        count = max(len(channels), len(settings["normalization_schemes"]))
        raise UnsupportedModelError(f"the network needs {count} channels, but a CT has one")
    labels = _label_names(dataset)
    forward = transposition_of(plans["transpose_forward"], "transpose_forward")
    backward = transposition_of(plans["transpose_backward"], "transpose_backward")
    if tuple(int(i) for i in np.argsort(forward)) != backward:
        raise UnsupportedModelError("transpose_backward is not the inverse of transpose_forward")
    patch = patch_of(settings["patch_size"])
    spacing = spacing_of(settings["spacing"], len(patch))
    scheme = _only(settings["normalization_schemes"][0], NORMALIZATIONS, "normalisation")
    cascade = settings.get("previous_stage") is not None
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
            bool(settings["use_mask_for_norm"][0]),
            intensities_of(_intensities(plans), scheme),
        ),
        resample_data=_resampling(settings, "resampling_fn_data"),
        resample_logits=_resampling(settings, "resampling_fn_probabilities"),
        architecture=_architecture(settings["architecture"], patch, len(labels) + 1, len(labels) + 1 if cascade else 1),
        reader=str(plans.get("image_reader_writer", "")),
        dataset_name=str(plans.get("dataset_name", dataset.get("name", "model"))),
        label_names=labels,
        resample_previous=_resampling_of_labels(settings) if cascade else None,
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
        names[integer(values[0], 0, MAX_CLASSES, f"label {name!r}")] = str(name)
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
    require_resampling(RESAMPLING[name][1], arguments, key)
    return Resampling(name, arguments)


def _resampling_of_labels(configuration: Json) -> Resampling:
    """Return the resampling of labels, which nnU-Net applies to one mask at a time, as to an image."""
    key = "resampling_fn_seg"
    name = _only(configuration[key], ("resample_data_or_seg_to_shape",), "resampling function of labels")
    arguments = dict(configuration.get(f"{key}_kwargs") or {})
    require_resampling(RESAMPLING[name][1], arguments, key)
    return Resampling(name, arguments | {"is_seg": False})


def _architecture(given: Json, patch: tuple[int, ...], classes: int, channels: int) -> NetworkArchitecture:
    imported = tuple(given["_kw_requires_import"])
    arguments = dict(given["arch_kwargs"])
    for key, value in arguments.items():
        if key in imported:
            if value is not None:
                arguments[key] = _building_block(str(value))
        elif isinstance(value, str):
            raise UnsupportedModelError(f"network argument {key} is a string: {value!r}")
    module, _, name = str(given["network_class_name"]).rpartition(".")
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
    from_torch = module == "torch.nn" or module.startswith("torch.nn.modules.")
    if from_torch and (name in _USUAL_LAYERS or _is_layer(name)):
        return f"torch.nn.{name}"
    raise UnsupportedModelError(f"network argument {full_name!r} is not a layer of torch.nn")


def _is_layer(name: str) -> bool:
    """Return whether torch.nn has a layer of this name; torch is loaded for that."""
    import torch

    layer = getattr(torch.nn, name, None)
    return isinstance(layer, type) and issubclass(layer, torch.nn.Module)
