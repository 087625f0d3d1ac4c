"""The networks of nnU-Net's plans as OpenVINO graphs, made of the plan and the arrays of the weights.

It needs neither torch nor a conversion: a run on a CPU loads no torch. Layers and names are those of
dynamic_network_architectures; tests compare each network with torch's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import UnsupportedModelError
from cspine.inference.engines.openvino_runtime import load_openvino
from cspine.models.plans import NetworkArchitecture

Arrays = Mapping[str, NDArray[Any]]

_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")
_NORMS = ("InstanceNorm", "BatchNorm")
_NONLINEARITIES = {"LeakyReLU": {"negative_slope", "inplace"}, "ReLU": {"inplace"}}
_NORM_ARGUMENTS = {"eps", "affine", "momentum", "track_running_stats"}
#: Aliases of weights: the blocks of nnU-Net register layers twice, and the decoder contains the encoder.
_ALIASES = ("all_modules.", "decoder.encoder.")


def unsupported_layer(architecture: NetworkArchitecture) -> str | None:
    """Return what of a network this module cannot build, or None if it can build all of it.

    Parameters
    ----------
    architecture : NetworkArchitecture
        Architecture from `plans.read_plan`.
    """
    given, name = architecture.arguments, architecture.class_name.rpartition(".")[2]
    if name not in _NETWORKS:
        return name
    norm, nonlin = _layer(given.get("norm_op")), _layer(given.get("nonlin"))
    norm_arguments = given.get("norm_op_kwargs") or {}
    if norm is not None and (norm[:-2] not in _NORMS or not set(norm_arguments) <= _NORM_ARGUMENTS):
        return f"{norm} {sorted(norm_arguments)}"
    if norm is not None and norm.startswith("Instance") and norm_arguments.get("track_running_stats"):
        return f"{norm} with running statistics"
    if nonlin is not None and not set(given.get("nonlin_kwargs") or {}) <= _NONLINEARITIES.get(nonlin, set()):
        return nonlin
    if nonlin is not None and nonlin not in _NONLINEARITIES:
        return nonlin
    return None


def unet_graph(architecture: NetworkArchitecture, weights: Arrays, patch_size: Sequence[int]) -> Any:
    """Return a network as an `openvino.Model` from (1, channels, *patch) to (1, classes, *patch), float32.

    Parameters
    ----------
    architecture : NetworkArchitecture
        A network of which `unsupported_layer` returns None.
    weights : mapping of str to ndarray
        Weights of a fold under their names in the network; float16 becomes float32.
    patch_size : sequence of int
        Two or three numbers.

    Returns
    -------
    openvino.Model

    Raises
    ------
    UnsupportedModelError
        If a weight is missing, superfluous, not finite or of another shape.
    """
    try:
        return _UnetGraph(architecture, weights).model(tuple(patch_size))
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError) as error:
        raise UnsupportedModelError(f"plans.json does not describe a network: {error}") from error


def _layer(full_name: object) -> str | None:
    return None if full_name is None else str(full_name).rpartition(".")[2]


class _UnetGraph:
    """Builds the graph of one network from its inputs to its logits."""

    def __init__(self, architecture: NetworkArchitecture, weights: Arrays) -> None:
        openvino = load_openvino()
        self.openvino, self.op = openvino, openvino.opset13
        self.architecture, self.given = architecture, architecture.arguments
        self.left = {name: array for name, array in weights.items() if not any(alias in name for alias in _ALIASES)}
        self.stages = int(self.given["n_stages"])
        self.dimensions = int(str(self.given["conv_op"])[-2])
        self.features = self._per_stage("features_per_stage", self.stages)
        self.strides = [self._all_axes(n) for n in self._per_stage("strides", self.stages)]
        self.kernels = [self._all_axes(n) for n in self._per_stage("kernel_sizes", self.stages)]

    def model(self, patch_size: tuple[int, ...]) -> Any:
        image = self.op.parameter([1, self.architecture.channels, *patch_size], np.float32, name="image")
        residual = "n_blocks_per_stage" in self.given
        skips = self._residual_encoder(image) if residual else self._plain_encoder(image)
        logits = self._decoder(skips)
        unused = [name for name in self.left if not name.startswith("decoder.seg_layers.")]
        if unused:
            raise UnsupportedModelError(
                f"{len(unused)} weights do not exist in the network of plans.json, such as {min(unused)}"
            )
        return self.openvino.Model([self.op.result(logits)], [image], "unet")

    def _plain_encoder(self, x: Any) -> list[Any]:
        skips = []
        for stage, convolutions in enumerate(self._per_stage("n_conv_per_stage", self.stages)):
            x = self._stacked(x, f"encoder.stages.{stage}.0", convolutions, self.features[stage], stage, strided=True)
            skips.append(x)
        return skips

    def _residual_encoder(self, x: Any) -> list[Any]:
        stem = self.given.get("stem_channels") or self.features[0]
        x = self._stacked(x, "encoder.stem", 1, stem, 0, strided=False)
        skips = []
        for stage, blocks in enumerate(self._per_stage("n_blocks_per_stage", self.stages)):
            for block in range(blocks):
                stride = self.strides[stage] if block == 0 else self._all_axes(1)
                x = self._residual_block(x, f"encoder.stages.{stage}.blocks.{block}", stage, stride)
            skips.append(x)
        return skips

    def _decoder(self, skips: list[Any]) -> Any:
        x = skips[-1]
        for step, convolutions in enumerate(self._per_stage("n_conv_per_stage_decoder", self.stages - 1)):
            stage = self.stages - 2 - step
            x = self._upsampled(x, f"decoder.transpconvs.{step}", self.features[stage], self.strides[stage + 1])
            x = self.op.concat([x, skips[stage]], 1)
            x = self._stacked(x, f"decoder.stages.{step}", convolutions, self.features[stage], stage, strided=False)
        last = f"decoder.seg_layers.{self.stages - 2}"
        one = self._all_axes(1)
        return self._convolved(x, last, self.architecture.classes, one, one, bias=True)

    def _stacked(self, x: Any, name: str, count: int, features: int, stage: int, *, strided: bool) -> Any:
        for number in range(count):
            stride = self.strides[stage] if strided and number == 0 else self._all_axes(1)
            x = self._block(x, f"{name}.convs.{number}", features, self.kernels[stage], stride)
        return x

    def _residual_block(self, x: Any, name: str, stage: int, stride: tuple[int, ...]) -> Any:
        features, kernel, one = self.features[stage], self.kernels[stage], self._all_axes(1)
        if str(_layer(self.given.get("block"))) == "BottleneckD":
            narrow = self._per_stage("bottleneck_channels", self.stages)[stage]
            inner = self._block(x, f"{name}.conv1", narrow, one, one)
            inner = self._block(inner, f"{name}.conv2", narrow, kernel, stride)
            inner = self._block(inner, f"{name}.conv3", features, one, one, nonlin=False)
        else:
            inner = self._block(x, f"{name}.conv1", features, kernel, stride)
            inner = self._block(inner, f"{name}.conv2", features, kernel, one, nonlin=False)
        return self._nonlinear(self.op.add(inner, self._skip(x, f"{name}.skip", features, stride)))

    def _skip(self, x: Any, name: str, features: int, stride: tuple[int, ...]) -> Any:
        pooled = any(step != 1 for step in stride)
        channels = x.output(0).get_partial_shape()[1].get_length()
        if pooled:
            none = [0] * self.dimensions
            x = self.op.avg_pool(x, list(stride), none, none, list(stride), exclude_pad=True)
        if channels == features:
            return x
        one, first = self._all_axes(1), f"{name}.{1 if pooled else 0}"
        return self._block(x, first, features, one, one, nonlin=False, bias=False)

    def _block(
        self, x: Any, name: str, features: int, kernel: tuple[int, ...], stride: tuple[int, ...],
        *, nonlin: bool = True, bias: bool | None = None,
    ) -> Any:  # fmt: skip
        """Return nnU-Net's ConvDropoutNormReLU; dropout does nothing in inference."""
        with_bias = bool(self.given.get("conv_bias", False)) if bias is None else bias
        x = self._convolved(x, f"{name}.conv", features, kernel, stride, bias=with_bias)
        if nonlin and self.given.get("nonlin_first"):
            return self._normalised(self._nonlinear(x), f"{name}.norm", features)
        x = self._normalised(x, f"{name}.norm", features)
        return self._nonlinear(x) if nonlin else x

    def _convolved(
        self, x: Any, name: str, features: int, kernel: tuple[int, ...], stride: tuple[int, ...], *, bias: bool
    ) -> Any:
        channels = x.output(0).get_partial_shape()[1].get_length()
        filters = self._weight(f"{name}.weight", (features, channels, *kernel))
        pads = [(n - 1) // 2 for n in kernel]
        x = self.op.convolution(x, filters, list(stride), pads, pads, [1] * self.dimensions)
        return self.op.add(x, self._per_channel(self._weight(f"{name}.bias", (features,)))) if bias else x

    def _upsampled(self, x: Any, name: str, features: int, stride: tuple[int, ...]) -> Any:
        channels, none = x.output(0).get_partial_shape()[1].get_length(), [0] * self.dimensions
        filters = self._weight(f"{name}.weight", (channels, features, *stride))
        x = self.op.convolution_backprop_data(x, filters, list(stride), pads_begin=none, pads_end=none)
        if not self.given.get("conv_bias", False):
            return x
        return self.op.add(x, self._per_channel(self._weight(f"{name}.bias", (features,))))

    def _normalised(self, x: Any, name: str, features: int) -> Any:
        norm, arguments = _layer(self.given.get("norm_op")), self.given.get("norm_op_kwargs") or {}
        if norm is None:
            return x
        epsilon, shape = float(arguments.get("eps", 1e-5)), (features,)
        if norm.startswith("Instance"):
            axes = np.arange(2, 2 + self.dimensions, dtype=np.int64)
            x = self.op.mvn(x, axes, True, epsilon, "inside_sqrt")
            affine = bool(arguments.get("affine", False))
        else:
            mean, variance = (self._weight(f"{name}.running_{part}", shape) for part in ("mean", "var"))
            self.left.pop(f"{name}.num_batches_tracked", None)
            x = self.op.subtract(x, self._per_channel(mean))
            x = self.op.multiply(x, self._per_channel(1 / np.sqrt(variance + np.float32(epsilon))))
            affine = bool(arguments.get("affine", True))
        if not affine:
            return x
        x = self.op.multiply(x, self._per_channel(self._weight(f"{name}.weight", shape)))
        return self.op.add(x, self._per_channel(self._weight(f"{name}.bias", shape)))

    def _nonlinear(self, x: Any) -> Any:
        nonlin = _layer(self.given.get("nonlin"))
        if nonlin is None:
            return x
        if nonlin == "ReLU":
            return self.op.relu(x)
        slope = float((self.given.get("nonlin_kwargs") or {}).get("negative_slope", 0.01))
        return self.op.prelu(x, np.array([slope], dtype=np.float32))

    def _weight(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = self.left.pop(name, None)
        if array is None:
            raise UnsupportedModelError(f"the weights lack {name}, so they do not match the network of plans.json")
        if array.shape != shape:
            raise UnsupportedModelError(
                f"weight {name} has shape {array.shape}, but the network of plans.json has {shape}"
            )
        if not np.isfinite(array).all():
            raise UnsupportedModelError(f"weight {name} is not finite")
        return np.ascontiguousarray(array, dtype=np.float32)

    def _per_channel(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values.reshape(1, -1, *[1] * self.dimensions)

    def _per_stage(self, key: str, count: int) -> list[Any]:
        value = self.given[key]
        values = [value] * count if isinstance(value, int) else list(value)
        if len(values) != count:
            raise ValueError(f"{key} has {len(values)} entries for {count} stages")
        return values

    def _all_axes(self, value: Any) -> tuple[int, ...]:
        return (value,) * self.dimensions if isinstance(value, int) else tuple(int(n) for n in value)
