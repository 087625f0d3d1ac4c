"""What a user may choose about surfaces, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cspine.core.checks import is_finite_number
from cspine.core.errors import DicomSourceNeededError, UsageError

#: Formats of surface files: one file per vertebra, except for GLB, which holds all with their names and colours.
FORMATS = ("stl", "glb", "ply", "obj", "vtp")
#: The format of Encapsulated STL objects, which refer to a DICOM series.
DICOM = "dicom"
#: Every format that a user can name, and those that are written unless the user names some.
SURFACE_FORMATS = (*FORMATS, DICOM)
DEFAULT_FORMATS = ("stl", "glb")
#: Largest change of a vertebra's volume, and largest 95th percentile of distances to the label's boundary, in voxels.
MAX_VOLUME_CHANGE = 0.01
MAX_DISTANCE_VOXELS = 0.5
#: Largest distance that neighbours can be kept apart.
MAX_GAP_MM = 5.0


@dataclass(frozen=True)
class SurfaceSettings:
    """What a user may choose about surfaces.

    Parameters
    ----------
    formats : tuple of str
        Some of `SURFACE_FORMATS`.
    ras : bool
        Write coordinates in RAS instead of LPS millimetres; DICOM objects stay in LPS.
    gap_mm : float
        Smallest distance between two vertebrae, up to `MAX_GAP_MM`; at 0 they may touch, but do not overlap.

    Raises
    ------
    UsageError
        If a format is unknown, none is given, or the gap is out of its range.
    """

    formats: tuple[str, ...] = DEFAULT_FORMATS
    ras: bool = False
    gap_mm: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", checked_names(self.formats, SURFACE_FORMATS, "surface format"))
        if not isinstance(self.ras, bool):
            raise UsageError("`ras` is not true or false", advice="True for RAS, false for LPS.")
        if not is_finite_number(self.gap_mm) or not 0 <= self.gap_mm <= MAX_GAP_MM:
            raise UsageError(
                f"a gap of {self.gap_mm!r} mm is not a number from 0 to {MAX_GAP_MM:g}",
                advice="Correct the distance of the surfaces.",
            )

    @property
    def frame(self) -> str:
        """Name of the coordinates of the files."""
        return "RAS" if self.ras else "LPS"

    def require_source(self, *, has_dicom: bool) -> None:
        """Refuse DICOM objects where there is no DICOM series for them to refer to.

        Parameters
        ----------
        has_dicom : bool
            True if the image comes from a DICOM series.

        Raises
        ------
        DicomSourceNeededError
            If ``formats`` has DICOM objects and there is none.
        """
        if DICOM in self.formats and not has_dicom:
            raise DicomSourceNeededError(
                "surfaces as DICOM objects refer to a DICOM series",
                advice="Leave dicom out of the surface formats, or pass the DICOM series of the image.",
            )


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the surface formats in a user's text, for example ``"stl,glb"``.

    Parameters
    ----------
    text : str
        Names of formats, separated by commas.

    Raises
    ------
    UsageError
        If a format is unknown, or none is given.
    """
    return checked_names(text, SURFACE_FORMATS, "surface format")


def checked_names(wanted: str | Iterable[str], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return names in the order of the known ones; UsageError for an unknown one, or for none.

    Parameters
    ----------
    wanted : str or iterable of str
        What the user gave; a text with commas is split.
    known : tuple of str
        All names.
    what : str
        What they name, for the message.
    """
    given = wanted.split(",") if isinstance(wanted, str) else list(wanted) if isinstance(wanted, Iterable) else []
    wanted = [name for name in given if isinstance(name, str)]
    if len(wanted) < len(given):
        raise UsageError(f"the name of a {what} is no text", advice=f"Give some of: {', '.join(known)}.")
    names = {name.strip().lower() for name in wanted if name.strip()}
    unknown = sorted(names - set(known))
    if unknown or not names:
        problem = f"there is no {what} {unknown[0]!r}" if unknown else f"no {what} is named"
        raise UsageError(problem, advice=f"Give some of: {', '.join(known)}.")
    return tuple(name for name in known if name in names)
