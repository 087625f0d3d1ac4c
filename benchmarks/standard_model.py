"""nnU-Net's standard network of single-stage full-resolution models, 31 million random weights, as a package."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

PATCH = (128, 128, 128)
FEATURES = (32, 64, 128, 256, 320, 320)
LEVELS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1")


def plans(spacing_mm: float = 1.0) -> dict[str, Any]:
    """Return the plans as nnU-Net's planner writes them."""
    stages, kernel = len(FEATURES), [3, 3, 3]
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": list(PATCH), "median_image_size_in_voxels": [200.0, 200.0, 200.0], "spacing": [spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling, "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages, "features_per_stage": list(FEATURES), "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [kernel] * stages, "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
                "n_conv_per_stage": [2] * stages, "n_conv_per_stage_decoder": [2] * (stages - 1), "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }  # fmt: skip
    intensities = {
        "max": 2000.0, "mean": 250.0, "median": 230.0, "min": -300.0, "percentile_00_5": -200.0,
        "percentile_99_5": 1300.0, "std": 280.0,
    }  # fmt: skip
    return {
        "dataset_name": "Dataset001_Standard", "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [200, 200, 200], "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration}, "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {"0": intensities},
    }  # fmt: skip


def dataset() -> dict[str, Any]:
    """Return dataset.json."""
    labels = {"background": 0, **{level: number for number, level in enumerate(LEVELS, 1)}}
    return {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz",
            "name": "Dataset001_Standard"}  # fmt: skip


def standard_package(folder: Path) -> Any:
    """Write the package, unless it is there; the weights are random but always the same."""
    import torch

    from cspine.models.manifest import MANIFEST_NAME, ModelManifest
    from cspine.models.network import build_network
    from cspine.models.package import load_package
    from cspine.models.package_writer import StageContent, write_package
    from cspine.models.plans import read_plan

    if (folder / MANIFEST_NAME).is_file():
        return load_package(folder)
    architecture = read_plan(plans(), dataset(), "3d_fullres").architecture
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_network(architecture).state_dict()
    text = "a measurement of time, which knows nothing of anatomy"
    stage = {
        "name": "fullres", "folder": "fullres", "configuration": "3d_fullres", "trainer": "nnUNetTrainer",
        "mirror_axes": (0, 1, 2), "orientation": "LPS", "folds": ("0",),
        "labels": dict(enumerate(LEVELS, 1)),
    }  # fmt: skip
    statements = dict.fromkeys(("licence", "source", "credit", "intended_use", "limits", "training_data"), text)
    manifest = ModelManifest.model_validate(
        {"name": "standard-random", "version": "1", "title": "Random weights", "stages": [stage], **statements}
    )
    return write_package(folder, manifest, {"fullres": StageContent(plans(), dataset(), {"0": weights})})


def cached_package() -> Any:
    """Return the package in the folder of temporary files."""
    return standard_package(Path(tempfile.gettempdir()) / "cspine-standard-random")
