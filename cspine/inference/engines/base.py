"""The interface of an engine: it loads networks, and does the arithmetic on the logits that they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cspine.core.shape import Box
from cspine.inference.engines.failures import translated_errors
from cspine.inference.threads import each, threads
from cspine.models.package import Stage

#: An array on the device of an engine: of NumPy on a CPU, of torch on a GPU.
Array = Any
#: A network with its weights: from (channels, *patch) to (classes, *patch), float32, on the engine's device.
Network = Callable[[Array], Array]

#: Networks that are kept for the next study have at most so many bytes of weights.
_KEPT_BYTES = 2**29


class Engine(ABC):
    """A library that runs networks, with its device and precision.

    The methods on arrays are those of NumPy on a CPU; an engine with memory of its own replaces them.

    Parameters
    ----------
    device : str
        ``"cpu"``, or the CUDA device with the name of the card.
    precision : str
        ``"float32"``, ``"float16"`` or ``"bfloat16"``.
    """

    #: Name for ``--engine``.
    name: ClassVar[str]

    def __init__(self, device: str, precision: str) -> None:
        self.device, self.precision = device, precision

    @property
    def key(self) -> tuple[str, ...]:
        """What distinguishes its networks from those of another engine."""
        return self.name, self.device, self.precision, str(threads())

    def network(self, stage: Stage, fold: str) -> Network:
        """Return the network of a stage with the weights of a fold; recent ones are cached in memory.

        A network is known by the checksum of its weights, which `load` compares with the file.

        Parameters
        ----------
        stage : Stage
            A stage of a model package.
        fold : str
            One of its folds, for example ``"0"`` or ``"all"``.

        Raises
        ------
        ModelChecksumError
            If the weights changed after the package was loaded.
        ModelError, UnsupportedModelError
            If the weights cannot be read, or do not match the network.
        """
        file = stage.weights_file(fold)
        size = file.stat().st_size if file.is_file() else 0
        version = (str(file), stage.checksums[fold], str(stage.plan.architecture), str(stage.plan.patch_size))
        return _networks.get((*self.key, *version), lambda: self.load(stage, fold), size)

    @abstractmethod
    def load(self, stage: Stage, fold: str) -> Network:
        """Return the network of a stage with the weights of a fold, newly loaded.

        Parameters
        ----------
        stage : Stage
            A stage of a model package.
        fold : str
            One of its folds.

        Raises
        ------
        ModelChecksumError, ModelError, UnsupportedModelError
            As in `network`.
        """

    @contextmanager
    def running(self) -> Iterator[None]:
        """Enter the context of inference, in which errors of libraries become errors of cspine.

        Raises
        ------
        OutOfMemoryError
            If there is not enough memory.
        InferenceError
            If the library fails otherwise.
        """
        with translated_errors():
            yield

    def array(self, values: NDArray[np.float32]) -> Array:
        """Return an array on the device of the networks.

        Parameters
        ----------
        values : ndarray of float32
            Values in main memory, any shape.
        """
        return np.ascontiguousarray(values)

    def flip(self, array: Array, axes: Sequence[int]) -> Array:
        """Return an array reversed along axes.

        Parameters
        ----------
        array : Array
            An array of the engine.
        axes : sequence of int
            Axes to reverse.
        """
        return np.ascontiguousarray(np.flip(array, tuple(axes)))

    def zeros(self, shape: tuple[int, ...], copies: int = 1) -> Array:
        """Return float32 zeros on the device, where logits are summed.

        Parameters
        ----------
        shape : tuple of int
            Classes, z, y, x of the network's grid; z, y, x for the sums of weights.
        copies : int
            How many arrays of this size will be needed at once.
        """
        return np.zeros(shape, dtype=np.float32)

    def add(self, total: Array, box: Box, logits: Array, weights: Array) -> None:
        """Add weighted logits of a tile to the sums, in place.

        Parameters
        ----------
        total : array of float32, shape (classes, z, y, x)
            The sums, on the network's grid.
        box : tuple of slice
            Where the tile lies along z, y and x.
        logits : array of float32, shape (classes, *patch)
            Logits of the tile.
        weights : array of float32, shape (patch,)
            Weight of each of its voxels.
        """

        def one(label: int) -> None:
            total[label, *box] += logits[label] * weights

        each(one, range(len(logits)))

    def divide(self, total: Array, sums: Array) -> Array:
        """Return the mean logits: sums of logits, divided in place by the sums of their weights.

        Parameters
        ----------
        total : array of float32, shape (classes, z, y, x)
            Sums of weighted logits.
        sums : array of float32, shape (z, y, x)
            Sums of weights.
        """

        def one(label: int) -> None:
            np.divide(total[label], sums, out=total[label])

        each(one, range(len(total)))
        return total

    def is_finite(self, array: Array) -> bool:
        """Return whether all values are finite."""
        return all(each(lambda part: bool(np.isfinite(part.max() - part.min())), array))

    def host(self, array: Array) -> NDArray[np.float32]:
        """Return an array in main memory."""
        return np.asarray(array)

    def extended(self, array: Array, slices: int) -> Array:
        """Return an array with slices of zeros added at the end of z.

        Parameters
        ----------
        array : Array, shape (..., z, y, x)
            An array of the engine.
        slices : int
            How many are added.
        """
        more = self.zeros((*array.shape[:-3], slices, *array.shape[-2:]))
        return np.concatenate([array, more], axis=-3)

    def release(self) -> None:
        """Give memory back that the library keeps for later use."""
        release_networks()

    def copy(self, array: Array) -> Array:
        """Return a copy, so that what it is a part of can be released."""
        return array.copy()


class _Networks:
    """Loaded networks, of which the least recently used are dropped when they become too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], tuple[Network, int]] = OrderedDict()

    def get(self, key: tuple[str, ...], load: Callable[[], Network], size: int) -> Network:
        if key not in self._kept:
            while self._kept and size + sum(kept for _, kept in self._kept.values()) > _KEPT_BYTES:
                self._kept.popitem(last=False)
            self._kept[key] = (load(), size)
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def clear(self) -> None:
        self._kept.clear()


_networks = _Networks()


def release_networks() -> None:
    """Drop all networks that are cached."""
    _networks.clear()
