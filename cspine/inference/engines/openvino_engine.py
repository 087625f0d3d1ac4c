"""The engine of OpenVINO: CPUs, without torch. Graphs are compiled in a fraction of a second and kept in memory."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cspine.inference.engines.base import Engine, Network
from cspine.inference.engines.openvino_runtime import core
from cspine.inference.engines.unet_graph import unet_graph
from cspine.inference.threads import threads
from cspine.models.package import Stage

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine(Engine):
    """OpenVINO's CPU plugin.

    Parameters
    ----------
    precision : str
        ``"float32"`` or ``"bfloat16"``. It is always stated: by itself OpenVINO chooses bfloat16 on CPUs that have it.
    """

    name = "openvino"

    def __init__(self, precision: Literal["float32", "bfloat16"] = "float32") -> None:
        super().__init__("cpu", precision)

    def load(self, stage: Stage, fold: str) -> Network:
        """Return the compiled network of a stage with the weights of a fold."""
        with self.running():
            graph = unet_graph(stage.plan.architecture, stage.arrays(fold), stage.plan.patch_size)
            return self.compiled(graph)

    def compiled(self, graph: Any) -> Network:
        """Return an `openvino.Model` of one input and one output as a network of this engine."""
        properties = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads(),
            # A process may share its cores, or be limited to a part of them.
            "ENABLE_CPU_PINNING": False,
        }
        request = core().compile_model(graph, "CPU", properties).create_infer_request()

        def network(patch: NDArray[np.float32]) -> NDArray[np.float32]:
            (logits,) = request.infer([patch[None]], share_inputs=True, share_outputs=True).values()
            return np.asarray(logits[0])

        return network
