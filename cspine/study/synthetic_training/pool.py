"""A pool of synthetic cases on disk, filled and renewed by a process of its own while training reads from it."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cspine.core.errors import AtlasError, TrainingError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.documents import read_json
from cspine.study.synthesis.atlas import Atlas, find_atlas, load_atlas
from cspine.study.synthesis.case import EDITION, CaseSettings, synthesize_case
from cspine.study.synthesis.neck.case import EDITION as NECK_EDITION
from cspine.study.synthesis.neck.case import NeckSettings, synthesize_neck
from cspine.study.synthesis.neck.people import load_people, people_checksum
from cspine.study.synthesis.spine.case import EDITION as SPINE_EDITION
from cspine.study.synthesis.spine.case import SpineSettings, synthesize_spine
from cspine.study.synthesis.spine.forms import parametric_forms
from cspine.study.synthesis.spine.mesh_forms import mesh_forms, meshes_checksum

_log = logging.getLogger(__name__)

_EDITIONS = {"neck": EDITION, "spine": SPINE_EDITION, "articulated": NECK_EDITION}
#: Cases that one process makes before it is replaced.
_CASES_A_PROCESS = 150
#: Rest after each case once the pool is full, as a multiple of the time the case took.
_REST = 6.0


@dataclass(frozen=True)
class PoolSettings:
    """Where the pool lies and what is in it.

    Parameters
    ----------
    atlas : Path
        Folder of the atlas; None for spines made of simple solids.
    folder : Path
        Folder of the pool.
    size : int
        Number of cases held.
    first_seed : int
        Seed of the first case; each next one takes the next seed.
    spacing_xyz : tuple of float
        Voxel size in millimetres.
    coarse_share : float
        Share of scans that were stored at coarse pixels.
    close_up : bool
        True for small fields of view around a vertebra.
    anatomy : str
        ``"neck"`` of the label atlas, ``"spine"`` of the forms of its meshes and of simple solids, or
        ``"articulated"``: necks put together from the vertebrae of several people.
    anatomies : Path or None
        Folder of these people's vertebrae.
    blank_share : float
        Share of scans whose image ends within the field of view.
    """

    atlas: Path | None
    folder: Path
    size: int
    first_seed: int
    spacing_xyz: tuple[float, float, float]
    coarse_share: float = 0.25
    close_up: bool = False
    anatomy: str = "neck"
    anatomies: Path | None = None
    blank_share: float = 0.0


class Pool:
    """Keep a generator process alive and return cases; a context manager.

    Parameters
    ----------
    settings : PoolSettings
        What to make and where.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> Pool:
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_another_pool()
        self.keep_alive()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    def _refuse_another_pool(self) -> None:
        """Refuse cases of another atlas, seed or grid; those of an earlier generator are replaced."""
        origin = {
            "atlas_sha256": source_checksum(self.settings.atlas, self.settings.anatomy, self.settings.anatomies),
            "first_seed": self.settings.first_seed,
            "spacing_xyz": list(self.settings.spacing_xyz),
            "coarse_share": self.settings.coarse_share,
            "close_up": self.settings.close_up,
        }
        if self.settings.anatomy != "neck":
            origin["anatomy"] = self.settings.anatomy
        if self.settings.blank_share:
            origin["blank_share"] = self.settings.blank_share
        edition = _EDITIONS[self.settings.anatomy]
        path = self.settings.folder / "origin.json"
        if path.is_file():
            try:
                there = read_json(path)
                before = int(there.pop("edition", 0))
            except (OSError, ValueError, TypeError, AttributeError) as error:
                raise TrainingError(
                    f"{path.name} of {self.settings.folder} cannot be read", advice="Remove the pool of the run."
                ) from error
            if there != origin or before > edition:
                raise TrainingError(
                    f"{self.settings.folder} holds cases of another atlas, first seed, spacing or kind, "
                    "or of a newer generator",
                    advice="Give another folder for the run, or remove its pool.",
                )
            if before < edition:
                _log.info("cases of generator edition %d replace those of edition %d", edition, before)
        path.write_text(json.dumps(origin | {"edition": edition}), encoding="utf-8")

    def keep_alive(self) -> None:
        """Start the generator again where it has ended."""
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=_generate, args=(self.settings,), daemon=True)
            self._process.start()

    def wait_for(self, count: int) -> None:
        """Wait until the pool holds so many cases.

        Raises
        ------
        TrainingError
            If the generator fails.
        """
        while len(self.paths()) < min(count, self.settings.size):
            if self._process is not None and self._process.exitcode:
                raise TrainingError(f"the process that makes synthetic cases ended with code {self._process.exitcode}")
            self.keep_alive()
            time.sleep(1.0)

    def paths(self) -> list[Path]:
        """Return the cases that are there now."""
        return sorted(self.settings.folder.glob("case-*.npy"))


def read_case(path: Path) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return Hounsfield units and labels of a case of the pool.

    Parameters
    ----------
    path : Path
        File of the case.

    Returns
    -------
    hu_zyx : ndarray of int16, shape (z, y, x)
        Hounsfield units, mapped from the file.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels of `cspine.core.anatomy`, with 26 for the sacrum.
    """
    pair = np.load(path, mmap_mode="r", allow_pickle=False)
    return pair[0], pair[1].astype(np.uint8)


def source_checksum(atlas: Path | None, anatomy: str, anatomies: Path | None = None) -> str:
    """Return the checksum of what cases are made from; empty for simple solids.

    Parameters
    ----------
    atlas : Path or None
        Folder of the atlas; for spines, of its meshes.
    anatomy : str
        Kind of anatomy of the recipe, for example ``"articulated"`` or ``"spine"``.
    anatomies : Path, optional
        Folder of vertebrae of several people, for articulated necks.

    Raises
    ------
    AtlasError
        If it is absent or not what is expected.
    """
    if anatomy == "spine":
        return meshes_checksum(atlas) if atlas is not None else ""
    if atlas is None:
        raise AtlasError("necks are made from the label atlas")
    checksum = hashlib.sha256(find_atlas(atlas).read_bytes())
    if anatomy == "articulated":
        checksum.update(people_checksum(atlas, anatomies).encode())
    return checksum.hexdigest()


def _drawer(settings: PoolSettings) -> Callable[[int], tuple[CtVolume, LabelVolume]]:
    """Return what makes the case of a seed."""
    if settings.anatomy == "spine":
        solids = parametric_forms()
        cache = settings.folder.parent
        meshes = mesh_forms(settings.atlas, cache) if settings.atlas is not None else solids
        spine = SpineSettings(settings.spacing_xyz, "random", coarse_share=settings.coarse_share)
        # One in four shows other bones than the atlas's, so that the network does not memorise its shapes.
        return lambda seed: synthesize_spine(solids if seed % 4 == 0 else meshes, seed, spine)
    assert settings.atlas is not None
    atlas = load_atlas(settings.atlas, cache=settings.folder.parent)
    if settings.anatomy == "articulated":
        return _articulated(atlas, settings)

    def neck(seed: int) -> tuple[CtVolume, LabelVolume]:
        complete_neck = seed % 3 == 0 and not settings.close_up
        case = CaseSettings(
            settings.spacing_xyz,
            complete_neck=complete_neck,
            close_up=settings.close_up,
            coarse_share=settings.coarse_share,
        )
        return synthesize_case(atlas, seed, case)

    return neck


def _articulated(atlas: Atlas, settings: PoolSettings) -> Callable[[int], tuple[CtVolume, LabelVolume]]:
    assert settings.atlas is not None
    people = load_people(settings.atlas, settings.anatomies, settings.folder.parent).chosen(evaluation=False)
    spacing = min(settings.spacing_xyz)

    def neck(seed: int) -> tuple[CtVolume, LabelVolume]:
        case = NeckSettings(
            settings.spacing_xyz,
            internal_mm=0.5 * spacing,
            view="close_up" if settings.close_up else "neck" if seed % 3 == 0 else "anywhere",
            coarse_share=settings.coarse_share,
            blank=settings.blank_share,
        )
        return synthesize_neck(atlas, people, seed, case)

    return neck


def _generate(settings: PoolSettings) -> None:
    os.nice(5)
    torch.set_num_threads(1)
    draw = _drawer(settings)
    counter = settings.folder / "next-seed.txt"
    for _ in range(_CASES_A_PROCESS):
        seed = int(counter.read_text(encoding="ascii")) if counter.is_file() else settings.first_seed
        begun = time.monotonic()
        ct, labels = draw(seed)
        place = settings.folder / f"case-{(seed - settings.first_seed) % settings.size:05d}.npy"
        partial = place.with_name(f".{place.name}.partial.npy")
        np.save(partial, np.stack([ct.hu_zyx.astype(np.int16), labels.labels_zyx.astype(np.int16)]))
        partial.replace(place)
        partial = counter.with_suffix(".partial")
        partial.write_text(str(seed + 1), encoding="ascii")
        partial.replace(counter)
        if seed - settings.first_seed >= settings.size:
            time.sleep(_REST * (time.monotonic() - begun))
