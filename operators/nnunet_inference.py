"""nnU-Net inference: runs the stages of a model package on a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cspine.inference.settings import EngineName, InferenceSettings, Precision, RoiName
from cspine.io.console import progress
from cspine.operators.domain import PredictionImage, Provenance, ct_of, provenance_of
from cspine.operators.models import load_model
from cspine.operators.sdk import Fragment, InputContext
from cspine.operators.step import IMAGE, PREDICTION, StepOperator
from cspine.pipeline import steps
from cspine.pipeline.settings import ConfidenceName


class NnunetInferenceOperator(StepOperator):
    """Predict the label of each voxel with the nnU-Net stages of a model package, on a GPU if there is one.

    Named input:
        image: Image of Hounsfield units (z, y, x) with ``affine`` in its metadata, in any orientation.

    Named output:
        prediction: Image (a `PredictionImage`) of VerSe numbers, uint8 (z, y, x), on the grid of the input.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    model_path : Path, optional
        Folder of a model package, or one that holds a single package; by default the demonstration of cspine.
    device : str
        ``auto`` (CUDA if available), ``cpu``, ``cuda`` or ``cuda:N``.
    folds : sequence of str, optional
        Folds to average; all of the package by default.
    mirror : bool
        Test-time mirroring: up to eight times the work.
    step_size : float
        Distance of tiles as a part of the patch, in (0, 1].
    precision : str
        ``auto``, ``float32`` or ``bfloat16``.
    engine : str
        ``auto``, ``torch`` or ``openvino``.
    roi : str
        What a cervical model sees of a long scan: ``auto``, the neck, which is located first; ``full``, the image.
    confidence : str
        Confidence in each vertebra, of a calibrated model: ``fast``, from the run itself; ``full``, from three more
        runs on altered images; ``off``.
    """

    inputs = (IMAGE,)
    output = PREDICTION

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        model_path: Path | None = None,
        device: str = "auto",
        folds: Sequence[str] | None = None,
        mirror: bool = False,
        step_size: float = 0.5,
        precision: Precision = "auto",
        engine: EngineName = "auto",
        roi: RoiName = "auto",
        confidence: ConfidenceName = "fast",
        **kwargs: Any,
    ) -> None:
        self.model_path = model_path
        self.confidence = confidence
        self.inference = InferenceSettings(
            device, tuple(folds) if folds else None, mirror, step_size, precision, engine, roi
        )
        super().__init__(fragment, *args, **kwargs)

    def work(self, op_input: InputContext) -> PredictionImage:
        """Run the network."""
        image = op_input.receive(IMAGE)
        before = provenance_of(image)
        settings = replace(before.settings, inference=self.inference, confidence=self.confidence)
        watch = before.stopwatch()
        with watch.step("infer"), progress("tiles") as on_progress:
            inference = steps.infer(ct_of(image), load_model(self.model_path), settings, on_progress)
        return PredictionImage(inference, Provenance(steps.with_engine(settings, inference), watch.seconds))
