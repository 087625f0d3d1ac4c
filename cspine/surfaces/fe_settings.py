"""What a user may choose about finite-element meshes, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cspine.core.anatomy import Vertebra, as_levels
from cspine.core.checks import is_finite_number
from cspine.core.errors import UsageError
from cspine.surfaces.settings import checked_names

#: Formats of finite elements, each with the programs that read it.
FE_PROGRAMS = {"inp": "Abaqus, CalculiX", "feb": "FEBio", "k": "LS-DYNA", "vtu": "VTK"}
FE_FORMATS = tuple(FE_PROGRAMS)
DEFAULT_FE_FORMATS = ("inp", "vtu")
#: Density in g/cm3 = intercept + slope * HU: Rho, Hobatho and Ashman 1995, see `surfaces.material`.
DENSITY_INTERCEPT, DENSITY_SLOPE = 0.047, 0.001122
_EDGE_MM = (0.4, 5.0)
_ADVICE = "Correct the option of the finite-element mesh."


@dataclass(frozen=True)
class FeSettings:
    """What a user may choose about finite-element meshes.

    Parameters
    ----------
    formats : tuple of str
        Some of `FE_FORMATS`.
    edge_mm : float
        Length of the edges of elements.
    order : int
        1 for tetrahedra with 4 nodes, 2 for 10 nodes.
    facet_gap_mm, disc_gap_mm : float
        Smallest distance between two vertebrae at their facets, and between their bodies.
    discs : bool
        Add a disc between the end plates of each two levels that follow each other, tied to both.
    cortical_mm : float
        Depth to which elements count as cortical shell.
    materials : int
        Largest number of materials into which the modulus is grouped.
    density_line : tuple of float
        Slope, which is positive, and intercept of the density in g/cm3 by Hounsfield units.
    levels : tuple of Vertebra, optional
        The vertebrae to mesh; all if omitted. Names and ranges are converted: ``"C3-C5"``.
    compression : float
        Strain in percent of a compression test, written for each vertebra with two end plates; 0 for none.

    Raises
    ------
    UsageError
        If a value is out of its range, or a format or level is unknown.
    """

    formats: tuple[str, ...] = DEFAULT_FE_FORMATS
    edge_mm: float = 1.5
    order: int = 1
    facet_gap_mm: float = 0.5
    disc_gap_mm: float = 0.5
    discs: bool = False
    cortical_mm: float = 1.0
    materials: int = 40
    density_line: tuple[float, float] = (DENSITY_SLOPE, DENSITY_INTERCEPT)
    levels: tuple[Vertebra, ...] | None = None
    compression: float = 0.0

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", as_levels(self.levels))
        object.__setattr__(self, "formats", checked_names(self.formats, FE_FORMATS, "finite-element format"))
        low, high = _EDGE_MM
        for name in ("edge_mm", "facet_gap_mm", "disc_gap_mm", "cortical_mm", "compression"):
            if not is_finite_number(getattr(self, name)):
                raise UsageError(f"{name} is not a finite number", advice=_ADVICE)
        if not isinstance(self.discs, bool) or not isinstance(self.materials, int):
            raise UsageError("`discs` is not true or false, or `materials` is no whole number", advice=_ADVICE)
        object.__setattr__(self, "density_line", self._line())
        slope = self.density_line[0]
        checks: tuple[tuple[bool, Callable[[], str]], ...] = (
            (low <= self.edge_mm <= high, lambda: f"an edge of {self.edge_mm:g} mm is not from {low} to {high} mm"),
            (self.order in (1, 2), lambda: f"the order of elements is 1 or 2, not {self.order}"),
            (min(self.facet_gap_mm, self.disc_gap_mm) >= 0, lambda: "a gap is negative"),
            (max(self.facet_gap_mm, self.disc_gap_mm) <= high, lambda: f"a gap is larger than {high} mm"),
            (self.cortical_mm >= 0, lambda: "the depth of the cortical shell is negative"),
            (self.materials in range(1, 1000), lambda: f"{self.materials} materials are not from 1 to 999"),
            (slope > 0, lambda: f"the density does not rise with Hounsfield units: its slope is {slope:g}"),
            (0 <= self.compression < 20, lambda: f"a compression of {self.compression:g} % is not from 0 to 20 %"),
        )
        for is_valid, problem in checks:
            if not is_valid:
                raise UsageError(problem(), advice=_ADVICE)

    def _line(self) -> tuple[float, float]:
        try:
            slope, intercept = self.density_line
        except (TypeError, ValueError):
            slope = intercept = float("nan")
        if not is_finite_number(slope) or not is_finite_number(intercept):
            raise UsageError("`density_line` is not two finite numbers", advice=_ADVICE)
        return float(slope), float(intercept)


def parse_fe_formats(text: str) -> tuple[str, ...]:
    """Return the formats in a user's text, for example ``"inp,vtu"``.

    Parameters
    ----------
    text : str
        Names of formats, separated by commas.

    Raises
    ------
    UsageError
        If a format is unknown, or none is given.
    """
    return checked_names(text, FE_FORMATS, "finite-element format")
