"""Codes of the structured report: standard ones where there are any, else those of the private scheme 99CSPINE.

docs/reference/measurements.md lists them. A private code has at most 16 characters and never changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cspine.measurements.quantities import QUANTITIES, Quantity

#: Designator, name and owner of the private scheme, for (0008,0110) *Coding Scheme Identification Sequence*.
SCHEME, SCHEME_NAME, SCHEME_OWNER = "99CSPINE", "cspine measurement codes", "cspine"
#: Scheme of the Image Biomarker Standardisation Initiative (PS3.16 section 8), which names percentiles.
IBSI = "IBSI"


@dataclass(frozen=True)
class Concept:
    """The codes of a quantity.

    Parameters
    ----------
    code : Code
        Concept name.
    derivation : Code, optional
        (121401, DCM, "Derivation"), where the concept needs one.
    """

    code: Code
    derivation: Code | None = None


_ATTENUATION = codes.DCM.AttenuationCoefficient
_STANDARD: dict[str, Concept] = {
    "volume_ml": Concept(codes.SCT.Volume),
    "mean_hu": Concept(_ATTENUATION, Code("373098007", "SCT", "Mean")),
    "std_hu": Concept(_ATTENUATION, codes.SCT.StandardDeviation),
    "median_hu": Concept(_ATTENUATION, codes.SCT.Median),
    "p10_hu": Concept(Code("QG58", IBSI, "10th intensity percentile")),
    "p90_hu": Concept(Code("8DWT", IBSI, "90th intensity percentile")),
    "lordosis_cobb_deg": Concept(codes.SCT.CobbAngle),
}
_PRIVATE: dict[str, str] = {
    "trabecular_hu": "TRABECULAR_HU",
    "trabecular_std_hu": "TRABECULAR_SD",
    "eroded_body_hu": "ERODED_BODY_HU",
    "body_volume_ml": "BODY_VOLUME",
    "body_height_anterior_mm": "HEIGHT_ANT",
    "body_height_middle_mm": "HEIGHT_MID",
    "body_height_posterior_mm": "HEIGHT_POST",
    "wedge_ratio": "WEDGE_RATIO",
    "biconcavity_ratio": "BICONC_RATIO",
    "height_loss": "HEIGHT_LOSS",
    "height_loss_worst": "HEIGHT_LOSS_MAX",
    "body_depth_mm": "BODY_DEPTH",
    "body_width_mm": "BODY_WIDTH",
    "canal_diameter_mm": "CANAL_DIAMETER",
    "canal_area_mm2": "CANAL_AREA",
    "canal_body_ratio": "CANAL_RATIO",
    "spinous_length_mm": "SPINOUS_LENGTH",
    "angle_deg": "SEGMENT_ANGLE",
    "disc_angle_deg": "DISC_ANGLE",
    "translation_mm": "TRANSLATION",
    "disc_height_anterior_mm": "DISC_ANT",
    "disc_height_middle_mm": "DISC_MID",
    "disc_height_posterior_mm": "DISC_POST",
    "facet_gap_right_mm": "FACET_RIGHT",
    "facet_gap_left_mm": "FACET_LEFT",
    "lordosis_tangent_deg": "TANGENT_ANGLE",
    "atlantodental_interval_mm": "ADI",
    "t1_slope_deg": "T1_SLOPE",
}
#: Prefix of the code of a change since an earlier result.
_CHANGE = "D_"
_UNITS: dict[str, Code] = {
    "ml": Code("ml", "UCUM", "ml"),
    "mm": Code("mm", "UCUM", "mm"),
    "mm2": Code("mm2", "UCUM", "mm2"),
    "deg": Code("deg", "UCUM", "deg"),
    "[hnsf'U]": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "1": Code("1", "UCUM", "no units"),
}

#: The three coordinates of a centroid, millimetres in patient coordinates.
CENTROID = (
    Code("CENTROID_L", SCHEME, "Centroid, left coordinate"),
    Code("CENTROID_P", SCHEME, "Centroid, posterior coordinate"),
    Code("CENTROID_S", SCHEME, "Centroid, superior coordinate"),
)
#: The confidence in a vertebra.
LEVEL_PROBABILITY = Code("LEVEL_PROB", SCHEME, "Probability that the level is right")
EXPECTED_DICE = Code("EXPECTED_DICE", SCHEME, "Expected Dice coefficient")
#: Whether a level was found, for levels that were looked for in vain.
LEVEL_SEARCH = Code("LEVEL_SEARCH", SCHEME, "Result of the search for the level")
NOT_DETECTED = Code("260415000", "SCT", "Not detected")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
COVERAGE_INCOMPLETE = codes.DCM.AnatomyCoverageIncomplete
#: Tube voltage, kernel and contrast medium of the image, beside densities: only equal ones can be compared.
ACQUISITION = Code("ACQUISITION", SCHEME, "Acquisition that densities depend on")
EARLIER_RESULT = Code("EARLIER_RESULT", SCHEME, "Date of the earlier result")


def concept_of(quantity: Quantity) -> Concept:
    """Return the codes of a quantity.

    Parameters
    ----------
    quantity : Quantity
        The quantity.

    Returns
    -------
    Concept
        A standard concept if there is one, else a code of cspine's own scheme.
    """
    if quantity.name in _STANDARD:
        return _STANDARD[quantity.name]
    return Concept(Code(_PRIVATE[quantity.name], SCHEME, quantity.title))


def change_of(quantity: Quantity) -> Code:
    """Return the code of the change of a quantity since an earlier result.

    Parameters
    ----------
    quantity : Quantity
        The quantity.
    """
    return Code(f"{_CHANGE}{_short(quantity)}", SCHEME, f"Change of {quantity.title.lower()}"[:64])


def _short(quantity: Quantity) -> str:
    return _PRIVATE.get(quantity.name) or quantity.name.upper()


def unit_of(quantity: Quantity) -> Code:
    """Return the UCUM code of the unit of a quantity.

    Parameters
    ----------
    quantity : Quantity
        The quantity.
    """
    return _UNITS[quantity.unit]


def codes_table() -> str:
    """Return the table of docs/reference/measurements.md: the codes of each quantity."""
    rows = []
    for quantity in QUANTITIES:
        concept = concept_of(quantity)
        derivation = _text(concept.derivation) if concept.derivation is not None else ""
        rows.append(f"| `{quantity.name}` | {_text(concept.code)} | {derivation} | {unit_of(quantity).value} |")
    others = (*CENTROID, LEVEL_PROBABILITY, EXPECTED_DICE, LEVEL_SEARCH, ACQUISITION, EARLIER_RESULT)
    head = "| quantity | concept name | derivation | UCUM |\n|---|---|---|---|"
    more = "\n".join(f"| {_text(code)} |" for code in others)
    return "\n".join([head, *rows]) + "\n\n| other private codes |\n|---|\n" + more


def _text(code: Code) -> str:
    return f'({code.value}, {code.scheme_designator}, "{code.meaning}")'
