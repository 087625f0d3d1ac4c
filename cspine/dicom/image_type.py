"""What (0008,0008) *Image Type* says about the values of a CT image: Hounsfield units, something else, or nothing.

Values from the third on are those of PS3.3 C.8.2.1.1.1 (CT Image), C.8.15.2.1.1 (Enhanced CT), C.8.16.1.4 (derived
pixel contrast) and of the scanners' makers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Values of images in Hounsfield units. An image with another value may be in such units or not.
_HOUNSFIELD = re.compile(
    # Where and how it was scanned and reconstructed.
    r"AXIAL|VOLUME|HELI.*|SPIRAL|SEQ.*|STATIC|DYNAMIC|ATTENUATION|ANGIO|CARDIAC.*|CARDRESP_GATED|RESP_GATED|REST|STRESS|"
    r"MOTION|PRE_CONTRAST|POST_CONTRAST|PARALLEL|NON_PARALLEL|WHOLE_BODY|NONE|STANDARD|"
    # Resampled or averaged, compressed, of a mixture of energies.
    r"MPR|CSA ?MPR|CSAPARALLEL|CSAMANIPULATED|REFORMAT.*|CORONAL.*|SAGITTAL.*|OBLIQUE.*|AVERAGE|MEAN|MEDIAN|RESAMPLED|"
    r"FILTERED|ADDITION|MULTI_?PLANAR|CT_SOM\d.*|JP2K.*|LOSS.*|RT.*|"
    r"VMI|MONO.*|M_SE|MIXED|DE_MIXED|ENERGY_PROP_WT|DET_.*|\d+ ?KEV|CONVENTIONAL|SUB.*STD|\d*"
)
#: Values of images that are not in Hounsfield units, or show no patient in section.
_OTHER = re.compile(
    r".*IODINE.*|.*URIC.*|.*(ZEFF|Z_EFF|EFF_ATOMIC).*|.*(ELECTRON|ELEC).?DENS.*|RHO.*|MAT_(SPECIFIC|FRACTIONAL|VALUE_BASED)|"
    r".*PERFUSION.*MAP.*|R?CB[FV]|MTT|TTP|TMAX|TTD|.*FUSION.*|.*FUSED.*|.*OVERLAY.*|.*SUBTRACT.*|DIVISION|STD_DEVIATION|"
    # A material, or bone, was removed from these: their bone has other values.
    r"MAT_(REMOVED|MODIFIED)|.*VNC.*|MASKED|.*BONE_?REMOV.*|"
    r"MAXIMUM|MINIMUM|.*(MIP|MAX_?IP|MIN_?IP).*|T_TEST|Z_SCORE|"
    r"QUANTITY|MULTIPLICATION|LOCALIZER|SCOUT|TOPOGRAM|.*DOSE.*|SCREEN ?SAVE|VRT|SSD|RENDERED|PRESENTATION"
)


def is_hounsfield_type(values: Iterable[str]) -> bool:
    """Return whether every value from the third on is one of images in Hounsfield units.

    Parameters
    ----------
    values : iterable of str
        The values of *Image Type*.

    Examples
    --------
    >>> is_hounsfield_type(("DERIVED", "SECONDARY", "AXIAL", "AVERAGE"))
    True
    >>> is_hounsfield_type(("DERIVED", "SECONDARY", "AXIAL", "VNC"))
    False
    """
    return all(_HOUNSFIELD.fullmatch(value.strip().upper()) for value in list(values)[2:])


def other_quantity(values: Iterable[str]) -> str:
    """Return the value that states another quantity than Hounsfield units; empty if none does.

    Parameters
    ----------
    values : iterable of str
        Values of (0008,0008) *Image Type*; the first two never state a quantity.

    Examples
    --------
    >>> other_quantity(("DERIVED", "SECONDARY", "AXIAL", "DE_IODINE"))
    'DE_IODINE'
    """
    return next((value for value in list(values)[2:] if _OTHER.fullmatch(value.strip().upper())), "")
