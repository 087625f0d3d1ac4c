"""From a checked plan to a network, and from weights to a network that holds them.

The network is built by nnU-Net's own factory, from names that `plans` has compared with its lists.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from cspine.core.errors import UnsupportedModelError
from cspine.models.plans import NetworkArchitecture

StateDict = Mapping[str, torch.Tensor]

# What wrappers (DistributedDataParallel, torch.compile) put in front of each name.
_PREFIXES = ("module.", "_orig_mod.")


def build_network(architecture: NetworkArchitecture) -> torch.nn.Module:
    """Build the network, without deep supervision and without weights worth anything.

    Parameters
    ----------
    architecture : NetworkArchitecture
        From `plans.read_plan`.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32, in evaluation mode.

    Raises
    ------
    UnsupportedModelError
        If its arguments do not make a network.
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
    except (TypeError, ValueError, AssertionError, IndexError, KeyError, RuntimeError) as error:
        raise UnsupportedModelError(f"plans.json does not describe a network: {error}") from error
    assert isinstance(network, torch.nn.Module)
    return network.eval()


def own_names(network: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the first name of every tensor of the network, with the other names by which it is known.

    nnU-Net's blocks register their layers twice, and the decoder holds the encoder: three to four names a tensor.
    """
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    return {first: tuple(others) for first, *others in names.values()}


def own_weights(network: torch.nn.Module, weights: StateDict) -> dict[str, torch.Tensor]:
    """Return each weight once, under its first name, checked against the network.

    Parameters
    ----------
    network : torch.nn.Module
        From `build_network`.
    weights : mapping
        A state dict with all names or with first names only; dtypes are kept.

    Raises
    ------
    UnsupportedModelError
        If a weight is missing, superfluous, of another shape, or differs between two names of one tensor.
    """
    given = {_bare(name): tensor for name, tensor in weights.items()}
    expected = network.state_dict()
    result: dict[str, torch.Tensor] = {}
    for first, others in own_names(network).items():
        present = [given.pop(name) for name in (first, *others) if name in given]
        if not present:
            raise UnsupportedModelError(f"the weights lack {first}: they are not of the network in plans.json")
        shape, wanted = tuple(present[0].shape), tuple(expected[first].shape)
        if any(tensor.shape != wanted for tensor in present):
            raise UnsupportedModelError(f"weight {first} is {shape}, the network of plans.json has {wanted}")
        if any(not torch.equal(present[0], other) for other in present[1:]):
            raise UnsupportedModelError(f"weight {first} has two values under two names")
        result[first] = present[0].detach().cpu().contiguous()
    if given:
        raise UnsupportedModelError(f"{len(given)} weights have no place in the network of plans.json: {min(given)}")
    return result


def load_weights(network: torch.nn.Module, weights: StateDict) -> None:
    """Put weights into a network as float32.

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


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name
