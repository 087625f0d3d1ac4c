"""Build a network from a checked plan, and load weights into it.

nnU-Net's factory builds the network, from names that `plans` has compared with its allow-lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from cspine.core.errors import UnsupportedModelError
from cspine.models.plans import NetworkArchitecture

StateDict = Mapping[str, torch.Tensor]

# Prefixes that wrappers (DistributedDataParallel, torch.compile) add to each name, in the order of wrapping.
_WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.)+")
#: Types of weights that networks are trained and stored in.
_WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def build_network(architecture: NetworkArchitecture) -> torch.nn.Module:
    """Return a network without deep supervision and with random weights.

    Parameters
    ----------
    architecture : NetworkArchitecture
        Architecture from `plans.read_plan`.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32, in evaluation mode.

    Raises
    ------
    UnsupportedModelError
        If its arguments do not describe a network.
    """
    try:
        network = get_network_from_plans(
            architecture.class_name,
            dict(architecture.arguments),
            architecture.imported,
            architecture.channels,
            architecture.classes,
            allow_init=False,
            deep_supervision=False,
        )
    except Exception as error:  # whatever arguments of other types make a constructor raise
        raise UnsupportedModelError(f"plans.json does not describe a network: {error!s:.200}") from error
    assert isinstance(network, torch.nn.Module)
    return network.eval()


def own_names(network: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the first name of every tensor of the network with its other names.

    nnU-Net's blocks register their layers twice, and the decoder contains the encoder: a tensor has up to four names.

    Parameters
    ----------
    network : torch.nn.Module
        A network of nnU-Net.

    Returns
    -------
    dict of str to tuple of str
        Other names by the first name in the order of ``state_dict``.
    """
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    return {first: tuple(others) for first, *others in names.values()}


def own_weights(network: torch.nn.Module, weights: StateDict) -> dict[str, torch.Tensor]:
    """Return each weight under its first name, checked against the network.

    Parameters
    ----------
    network : torch.nn.Module
        Network from `build_network`.
    weights : mapping
        State dict with all names or with first names only; dtypes are kept.

    Raises
    ------
    UnsupportedModelError
        If a weight is missing, superfluous, of another shape or of a type that no network is trained in, or differs
        between two names of one tensor.
    """
    given = {_WRAPPED.sub("", name): tensor for name, tensor in weights.items()}
    if len(given) != len(weights):
        raise UnsupportedModelError("weights exist twice, with and without the prefix of a wrapper")
    expected = network.state_dict()
    result: dict[str, torch.Tensor] = {}
    for first, others in own_names(network).items():
        present = [given.pop(name) for name in (first, *others) if name in given]
        if not present:
            raise UnsupportedModelError(f"the weights lack {first}, so they do not match the network of plans.json")
        shape, wanted = tuple(present[0].shape), tuple(expected[first].shape)
        if any(tensor.shape != wanted for tensor in present):
            raise UnsupportedModelError(f"weight {first} has shape {shape}, but the network of plans.json has {wanted}")
        for tensor in present:
            _require_type(first, tensor, expected[first])
        if any(not torch.equal(present[0], other) for other in present[1:]):
            raise UnsupportedModelError(f"weight {first} has different values under two names")
        result[first] = present[0].detach().cpu().contiguous()
    if given:
        raise UnsupportedModelError(
            f"{len(given)} weights do not exist in the network of plans.json, such as {min(given)}"
        )
    return result


def load_weights(network: torch.nn.Module, weights: StateDict) -> None:
    """Load weights into a network as float32.

    Parameters
    ----------
    network : torch.nn.Module
        The network, which is changed in place.
    weights : mapping of str to torch.Tensor
        Weights by any of their names; they are converted to the dtype of the network.

    Raises
    ------
    UnsupportedModelError
        As `own_weights`, or if a weight is not finite.
    """
    state = network.state_dict(keep_vars=True)
    for name, tensor in own_weights(network, weights).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UnsupportedModelError(f"weight {name} is not finite")
        with torch.no_grad():
            state[name].copy_(tensor)


def without_bfloat16(weights: StateDict) -> dict[str, torch.Tensor]:
    """Return weights with bfloat16, which NumPy lacks, as float32, which holds the same values.

    Parameters
    ----------
    weights : mapping of str to torch.Tensor
        Weights by name; tensors of another dtype are returned as they are.
    """
    return {name: each.float() if each.dtype == torch.bfloat16 else each for name, each in weights.items()}


def _require_type(name: str, tensor: torch.Tensor, expected: torch.Tensor) -> None:
    """Refuse integer, boolean, complex, sparse and quantised weights, which would be converted without a word."""
    types = _WEIGHT_TYPES if expected.is_floating_point() else (expected.dtype,)
    if tensor.dtype not in types or tensor.layout != torch.strided or tensor.is_meta:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise UnsupportedModelError(f"weight {name} is of type {kind}, {tensor.layout}, which no network is trained in")
