"""Tiny but real nnU-Net results folders: plans, dataset and checkpoints as nnunetv2 2.8.1 writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from cspine.core.anatomy import parse_name
from cspine.models.manifest import ModelManifest
from cspine.models.package import ModelPackage
from cspine.models.package_writer import StageContent, write_package

LEVELS = {"background": 0, "C1": 1, "C2": 2, "T2 and below": 3}
STATED = {
    "licence": "CC0-1.0",
    "source": "made by a test",
    "credit": "nobody",
    "intended_use": "tests",
    "limits": "random weights",
    "training_data": "none",
}
_UNET = "dynamic_network_architectures.architectures.unet."


@dataclass(frozen=True)
class TinyModel:
    """What a tiny model is made of; the defaults are an isotropic PlainConvUNet in LPS."""

    network: str = "PlainConvUNet"
    patch: tuple[int, ...] = (16, 24, 20)
    spacing: tuple[float, ...] = (2.0, 2.0, 2.0)
    transpose: tuple[int, int, int] = (0, 1, 2)
    reader: str = "SimpleITKIO"
    labels: dict[str, Any] = field(default_factory=lambda: dict(LEVELS))
    resampling: str = "resample_data_or_seg_to_shape"
    data_arguments: dict[str, Any] = field(default_factory=lambda: default_arguments(3))
    logits_arguments: dict[str, Any] = field(default_factory=lambda: default_arguments(1))
    normalization: str = "CTNormalization"
    masked: bool = False
    mirror_axes: tuple[int, ...] | None = (0, 1, 2)
    folds: tuple[str, ...] = ("0",)
    configuration: str = "3d_fullres"
    trainer: str = "nnUNetTrainer"
    seed: int = 0
    cascade: bool = False

    @property
    def outputs(self) -> int:
        return len([name for name in self.labels if name != "ignore"])

    def plans(self) -> dict[str, Any]:
        dimensions = len(self.patch)
        per_stage = "n_conv_per_stage" if self.network == "PlainConvUNet" else "n_blocks_per_stage"
        arguments: dict[str, Any] = {
            "n_stages": 3,
            "features_per_stage": [4, 8, 8],
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * 3,
            "strides": [[1] * dimensions, [2] * dimensions, [2] * dimensions],
            per_stage: [1, 1, 1],
            "n_conv_per_stage_decoder": [1, 1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }
        configuration = {
            "data_identifier": "nnUNetPlans_3d_fullres",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(self.patch),
            "median_image_size_in_voxels": [64.0] * dimensions,
            "spacing": list(self.spacing),
            "normalization_schemes": [self.normalization],
            "use_mask_for_norm": [self.masked],
            "resampling_fn_data": self.resampling,
            "resampling_fn_seg": self.resampling,
            "resampling_fn_data_kwargs": self.data_arguments,
            "resampling_fn_seg_kwargs": {**self.data_arguments, "is_seg": True},
            "resampling_fn_probabilities": self.resampling,
            "resampling_fn_probabilities_kwargs": self.logits_arguments,
            "architecture": {
                "network_class_name": _UNET + self.network,
                "arch_kwargs": arguments,
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
            "batch_dice": False,
        }
        if self.cascade:
            configuration["previous_stage"] = "3d_lowres"
        intensities = {
            "max": 2000.0, "mean": 250.0, "median": 230.0, "min": -300.0,
            "percentile_00_5": -200.0, "percentile_99_5": 1300.0, "std": 280.0,
        }  # fmt: skip
        return {
            "dataset_name": "Dataset777_Neck",
            "plans_name": "nnUNetPlans",
            "original_median_spacing_after_transp": [2.0, 2.0, 2.0],
            "original_median_shape_after_transp": [64, 64, 64],
            "image_reader_writer": self.reader,
            "transpose_forward": list(self.transpose),
            "transpose_backward": [int(i) for i in np.argsort(self.transpose)],
            "configurations": {self.configuration: configuration},
            "experiment_planner_used": "ExperimentPlanner",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {"0": intensities},
        }

    def dataset(self) -> dict[str, Any]:
        return {
            "channel_names": {"0": "CT"},
            "labels": self.labels,
            "numTraining": 1,
            "file_ending": ".nii.gz",
            "name": "Dataset777_Neck",
        }

    def weights(self, fold: str) -> dict[str, torch.Tensor]:
        """Random but fixed weights that make lively labels."""
        architecture = self.plans()["configurations"][self.configuration]["architecture"]
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + (17 if fold == "all" else int(fold)))
            network = get_network_from_plans(
                architecture["network_class_name"],
                architecture["arch_kwargs"],
                architecture["_kw_requires_import"],
                self.outputs if self.cascade else 1,
                self.outputs,
                allow_init=False,
                deep_supervision=True,
            )
            for name, parameter in network.named_parameters():
                torch.nn.init.normal_(parameter, std=0.3)
                if "norm" in name:
                    torch.nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
                elif "seg_layers" in name:
                    # No class is preferred, so that all appear.
                    parameter.data -= parameter.data.mean(1, keepdim=True) if parameter.ndim > 1 else parameter.data
        return network.state_dict()

    def checkpoint(self, fold: str) -> dict[str, Any]:
        """As `nnUNetTrainer.save_checkpoint` makes it, numpy scalars and device included."""
        return {
            "network_weights": self.weights(fold),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01, "momentum": 0.99}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.5)]]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1000,
            "init_args": {
                "plans": self.plans(),
                "configuration": self.configuration,
                "fold": fold if fold == "all" else int(fold),
                "dataset_json": self.dataset(),
                "unpack_dataset": True,
                "device": torch.device("cpu"),
            },
            "trainer_name": self.trainer,
            "inference_allowed_mirroring_axes": self.mirror_axes,
        }

    def results(self, root: Path) -> Path:
        """Write a results folder below ``root``, and return it."""
        folder = root / "Dataset777_Neck" / f"{self.trainer}__nnUNetPlans__{self.configuration}"
        folder.mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(self.plans()))
        (folder / "dataset.json").write_text(json.dumps(self.dataset()))
        (folder / "dataset_fingerprint.json").write_text("{}")
        for fold in self.folds:
            fold_folder = folder / f"fold_{fold}"
            (fold_folder / "validation").mkdir(parents=True)
            (fold_folder / "validation" / "summary.json").write_text("{}")
            (fold_folder / "progress.png").write_bytes(b"")
            torch.save(self.checkpoint(fold), fold_folder / "checkpoint_final.pth")
        return folder

    def manifest(self, name: str = "tiny", **changes: Any) -> ModelManifest:
        labels = {
            int(value): key if parse_name(key) else "auxiliary"
            for key, value in self.labels.items()
            if key not in ("background", "ignore")
        }
        stage = {
            "name": "fine",
            "folder": "fine",
            "configuration": self.configuration,
            "trainer": self.trainer,
            "mirror_axes": self.mirror_axes or (),
            "orientation": "LPS",
            "folds": self.folds,
            "labels": labels,
        }
        values = {"name": name, "version": "1.0", "title": "A tiny model", "stages": [stage], **STATED}
        return ModelManifest.model_validate({**values, **changes})

    def content(self, *, half: bool = False) -> StageContent:
        weights = {fold: self.weights(fold) for fold in self.folds}
        if half:
            weights = {fold: {k: v.half() for k, v in state.items()} for fold, state in weights.items()}
        return StageContent(self.plans(), self.dataset(), weights)

    def package(self, folder: Path, **changes: Any) -> ModelPackage:
        return write_package(folder, self.manifest(folder.name, **changes), {"fine": self.content()})


def default_arguments(order: int) -> dict[str, Any]:
    """As nnU-Net's planner writes them for resample_data_or_seg_to_shape."""
    return {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
