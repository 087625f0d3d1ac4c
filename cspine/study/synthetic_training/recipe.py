"""A training recipe: what a YAML file says of network, images and schedule, and the nnU-Net files that it makes."""

from __future__ import annotations

from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cspine.core.errors import TrainingError
from cspine.io.documents import DocumentError, read_yaml
from cspine.study.label_sets import LabelSet, label_set

#: nnU-Net's names of a network that sees the CT alone, and of one that is given the labels of the stage before.
FULL, CASCADE = "3d_fullres", "3d_cascade_fullres"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Strict):
    """The PlainConvUNet to train, in nnU-Net's terms."""

    features_per_stage: tuple[int, ...] = (16, 32, 64, 128, 160)
    patch_size: tuple[int, int, int] = Field((96, 64, 64), description="Voxels along z, y, x.")
    spacing: tuple[float, float, float] = Field((2.0, 2.0, 2.0), description="Millimetres along z, y, x: all the same.")

    @field_validator("spacing")
    @classmethod
    def _isotropic(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0 or max(value) != min(value):
            raise ValueError("the same spacing, above 0, is needed along each axis")
        return value


class Intensity(_Strict):
    """nnU-Net's CT normalisation: clip to a range of HU, then subtract a mean and divide by a deviation."""

    low: float = -250.0
    high: float = 1400.0
    mean: float = 150.0
    deviation: float = 300.0


class Recipe(_Strict):
    """All that a synthetic training run needs besides the atlas.

    Parameters are the fields of the YAML file; unknown ones are refused.
    """

    name: str
    version: str
    title: str
    description: str
    training_data: str = Field("", description="What the model card says the stage was trained on.")
    label_set: Literal["cervical", "full-spine"] = Field("cervical", description="Label set that the network predicts.")
    anatomy: Literal["neck", "spine", "articulated"] = Field(
        "neck",
        description="Content of the scans: the label atlas, complete spines, or necks of several people's bones.",
    )
    network: Network = Network()
    intensity: Intensity = Intensity()
    iterations: int = Field(6000, gt=0)
    batch_size: int = Field(2, gt=0)
    learning_rate: float = Field(1.5e-3, gt=0)
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Of the learning rate; a constant one allows packaging and resuming at any time."
    )
    decay_iterations: int = Field(0, ge=0, description="Iterations at the end in which a constant rate falls to 0.")
    warm_up: int = Field(100, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    ema_decay: float = Field(0.998, ge=0, lt=1)
    background_weight: float = Field(0.5, gt=0)
    labelled_share: float = Field(0.25, ge=0, le=1, description="Share of patches from --labelled cases, if given.")
    narrow_share: float = Field(
        0.0, ge=0, le=1, description="Share of patches from cases cut to a narrow field of view."
    )
    coarse_share: float = Field(0.25, ge=0, le=1, description="Share of synthetic scans stored at coarse pixels.")
    blank_share: float = Field(
        0.0, ge=0, le=1, description="Share of synthetic scans whose image ends within the field of view."
    )
    close_up: bool = Field(False, description="True to train on small fields of view around single vertebrae.")
    cascade: bool = Field(False, description="True where the network is given the labels of the stage before.")
    stage: str = Field("neck", description="Name of the stage in the package.")
    foreground_share: float = Field(0.7, ge=0, le=1, description="Share of patches centred on a vertebra.")
    pool: int = Field(400, gt=0, description="Synthetic volumes held at one time.")
    first_seed: int = Field(
        1_000_000, ge=0, description="Training uses the seeds from here on; tests use smaller ones."
    )
    seed: int = 0
    evaluation: str = Field("", description="What the model card says of the model's quality, in Markdown.")

    @property
    def labels(self) -> LabelSet:
        """Return the classes of the network, the auxiliary one among them."""
        return label_set(self.label_set, auxiliary=True)


#: Fields that describe a model, or end a run, and do not change the training until then.
_NOT_COMPARED = {
    *("name", "version", "title", "description", "training_data", "evaluation", "stage"),
    *("iterations", "decay_iterations"),
}


def trained_on(recipe: Recipe) -> str:
    """Return all that decides about a training, as text: a checkpoint of other settings belongs to another run."""
    return recipe.model_dump_json(exclude=_NOT_COMPARED)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : Path
        A YAML file.

    Raises
    ------
    TrainingError
        If the file is absent or does not follow the schema; the message names the field.
    """
    try:
        return Recipe.model_validate(read_yaml(path))
    except OSError as error:
        raise TrainingError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValidationError, DocumentError) as error:
        raise TrainingError(f"the recipe {path.name} is not valid: {error}") from error


def find_recipe(name: str | PathLike[str]) -> Recipe:
    """Read a recipe by the name of a shipped one, or by the path of a YAML file.

    Parameters
    ----------
    name : str or path
        A name without an ending, or a path with one.

    Raises
    ------
    TrainingError
        As in `load_recipe`.
    """
    path = Path(name)
    if not path.suffix:
        path = Path(str(resources.files("cspine.study.synthetic_training") / "recipes" / f"{path}.yaml"))
    return load_recipe(path)


def configuration_name(recipe: Recipe) -> str:
    """Return nnU-Net's name of the configuration that a recipe trains."""
    return CASCADE if recipe.cascade else FULL


def dataset_json(recipe: Recipe) -> dict[str, Any]:
    """Return nnU-Net's dataset.json of a recipe."""
    return {
        "channel_names": {"0": "CT"},
        "labels": recipe.labels.network_labels(),
        "numTraining": recipe.pool,
        "file_ending": ".nii.gz",
        "name": recipe.name,
        "description": recipe.description,
    }


def plans_json(recipe: Recipe) -> dict[str, Any]:
    """Return nnU-Net's plans.json (v2.8 layout) of a recipe, with the one configuration `configuration_name` gives."""
    network, intensity = recipe.network, recipe.intensity
    stages = len(network.features_per_stage)
    probabilities = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(network.features_per_stage),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": recipe.batch_size,
        "patch_size": list(network.patch_size),
        "median_image_size_in_voxels": list(network.patch_size),
        "spacing": list(network.spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": False},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": False},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": probabilities | {"force_separate_z": False},
        "architecture": architecture,
        "batch_dice": True,
    }
    if recipe.cascade:
        configuration["previous_stage"] = FULL
    statistics = {
        "max": intensity.high,
        "mean": intensity.mean,
        "median": intensity.mean,
        "min": intensity.low,
        "percentile_00_5": intensity.low,
        "percentile_99_5": intensity.high,
        "std": intensity.deviation,
    }
    return {
        "dataset_name": recipe.name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(network.spacing),
        "original_median_shape_after_transp": list(network.patch_size),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration_name(recipe): configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
    }
