"""Full spines, and parts of them, with their labels, written as cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cspine.core.anatomy import parse_levels
from cspine.core.errors import UsageError
from cspine.core.progress import ProgressCallback
from cspine.study.synthesis.spine import forms
from cspine.study.synthesis.spine.case import SpineSettings, synthesize_spine
from cspine.study.synthesis.spine.mesh_forms import mesh_forms
from cspine.study.synthesis.write_cases import (
    Place,
    WrittenCase,
    check_count,
    millimetres,
    seeded_cases,
    write_seeds,
)

_VIEWS = ("complete", "cervical", "random")


@dataclass(frozen=True)
class Spines:
    """Synthetic CTs of spines; the same seed, meshes and settings give the same case.

    Parameters
    ----------
    view : str
        ``"complete"``, ``"cervical"``, ``"random"``, or the first and the last level, for example ``"T11-L5"``.
    meshes : path, optional
        Folder of the atlas's meshes; bones are made of simple solids if omitted.
    count, seed : int
        Number of cases, and the seed of the first. Training uses seeds from 1000000 on.
    spacing_mm : sequence of float, length 3
        Voxel size along x, y, z.
    dicom : bool
        Also write a DICOM CT series of each case.

    Raises
    ------
    UsageError
        If a number makes no sense, or the view names no level.
    """

    view: str = "complete"
    meshes: Place | None = None
    count: int = 1
    seed: int = 0
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    dicom: bool = False

    def __post_init__(self) -> None:
        check_count(self.count, self.seed)
        millimetres(self.spacing_mm, "spacing")
        _view(self.view)

    def write(self, out: Path, progress: ProgressCallback) -> list[WrittenCase]:
        """Generate and write the cases.

        Parameters
        ----------
        out : Path
            Folder of the cases.
        progress : callable
            Called with the number of finished cases and of all cases.

        Returns
        -------
        list of WrittenCase
            All cases, in the order of their seeds.

        Raises
        ------
        AtlasError
            If the meshes cannot be used.
        """
        settings = SpineSettings(millimetres(self.spacing_mm, "spacing"), _view(self.view))
        bones = forms.parametric_forms() if self.meshes is None else mesh_forms(Path(self.meshes))
        return write_seeds(
            seeded_cases(out, "spine", self.seed, self.count, dicom=self.dicom),
            lambda seed: synthesize_spine(bones, seed, settings),
            lambda seed: f"cspine synthesize spine {seed} {bones.name} {settings}",
            progress,
        )


def _view(text: str) -> str | tuple[str, str]:
    """Return a view of `SpineSettings`: a name, or the first and the last level."""
    if text in _VIEWS:
        return text
    try:
        levels = parse_levels(text)
    except UsageError as error:
        raise UsageError(f"view {text!r} is unknown", advice=f"Give {', '.join(_VIEWS)} or levels: T11-L5.") from error
    return levels[0].name, levels[-1].name
