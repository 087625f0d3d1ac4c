"""All measurements of a spine: of each complete vertebra, between neighbours, and of the column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import cast

from cspine.core.anatomy import VERTEBRAE, Region, may_follow
from cspine.core.geometry import reorientation
from cspine.core.padding import shapes_in_image
from cspine.core.shape import LevelShape
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.measurements.alignment import cobb_deg, posterior_tangent_deg, slope_deg
from cspine.measurements.body import heights, worst_height_loss
from cspine.measurements.canal import atlantodental_interval, spinous_length
from cspine.measurements.density import eroded, percentiles, trabecular
from cspine.measurements.geometry import ATLAS, AXIS, VertebraGeometry, find_geometry
from cspine.measurements.neighbours import PairValues, measure_pair
from cspine.measurements.published import SEXES, PublishedValue, find_published
from cspine.measurements.quantities import QUANTITIES, Quantity, Scope, quantity
from cspine.measurements.section import STEP_MM
from cspine.measurements.uncertainty import uncertainty_of
from cspine.measurements.vertebra import VertebraMeasurement, measure_vertebrae

#: The site of what belongs to no vertebra and no pair.
COLUMN = "column"
_LABELS = {vertebra.name: vertebra.label for vertebra in VERTEBRAE}
#: The largest turn of neighbours against each other and the largest slip that labels of a real column can have.
_MAX_ANGLE_DEG, _MAX_SLIP_MM = 60.0, 15.0
#: No disc is so high, by the region of the vertebra above it; with a vertebra between them two are further apart.
_MAX_DISC_MM = {Region.CERVICAL: 15.0, Region.THORACIC: 18.0, Region.LUMBAR: 25.0}
#: Spaces between two bones. Labels that touch do not resolve them: below half a voxel nothing is stated.
_DISC_HEIGHTS = ("disc_height_anterior_mm", "disc_height_middle_mm", "disc_height_posterior_mm")
_GAPS = frozenset({*_DISC_HEIGHTS, "facet_gap_right_mm", "facet_gap_left_mm", "atlantodental_interval_mm"})


@dataclass(frozen=True)
class MeasuredValue:
    """The value of a quantity at a site.

    Parameters
    ----------
    site : str
        Level, pair such as ``"C3/C4"``, or ``"column"``.
    quantity : Quantity
        What was measured.
    value : float
        Its value, rounded to the digits of the quantity.
    uncertainty : float or None
        Standard uncertainty; None where it was not tested for such a grid.
    published : PublishedValue or None
        What it is compared with.
    """

    site: str
    quantity: Quantity
    value: float
    uncertainty: float | None
    published: PublishedValue | None

    @property
    def z_score(self) -> float | None:
        """Standard deviations above the published mean, two digits; None without a published deviation."""
        z = self.published.z_score(self.value) if self.published is not None else None
        return round(z, 2) if z is not None else None

    @property
    def is_outside(self) -> bool:
        """Whether it lies outside the published range: information, not a diagnosis."""
        low, high = self.published.range if self.published is not None else (None, None)
        return (low is not None and self.value < low) or (high is not None and self.value > high)


@dataclass(frozen=True)
class SpineMeasurements:
    """All measurements of a spine.

    Parameters
    ----------
    vertebrae : tuple of VertebraMeasurement
        Every vertebra from head to foot, incomplete ones too.
    values : tuple of MeasuredValue
        By site from head to foot, then pairs, then the column; an incomplete vertebra has none.
    touching : tuple of str
        Pairs whose bodies touch at the front, in the middle and at the back, so that they have no disc height.
    sex : str
        ``"M"`` or ``"F"``: whose published values were taken first; empty where only those of both were.
    """

    vertebrae: tuple[VertebraMeasurement, ...]
    values: tuple[MeasuredValue, ...]
    touching: tuple[str, ...] = ()
    sex: str = ""

    def at(self, site: str) -> tuple[MeasuredValue, ...]:
        """Return the values of a site, in the order of tables.

        Parameters
        ----------
        site : str
            A level (``"C3"``), two neighbours (``"C3/C4"``), or ``"column"``.

        Raises
        ------
        KeyError
            If there is no such site.
        """
        _require_site(site)
        return tuple(each for each in self.values if each.site == site)

    def value(self, site: str, name: str) -> float | None:
        """Return one value; None if it was not measured.

        Parameters
        ----------
        site : str
            A level (``"C3"``), two neighbours (``"C3/C4"``), or ``"column"``.
        name : str
            Name of the quantity; docs/reference/measurements.md lists all.

        Raises
        ------
        KeyError
            If there is no such quantity or site.
        """
        wanted = quantity(name)
        return next((each.value for each in self.at(site) if each.quantity is wanted), None)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs that have values, from head to foot."""
        return tuple(dict.fromkeys(v.site for v in self.values if v.quantity.scope is Scope.NEIGHBOURS))


def _require_site(site: str) -> None:
    """Refuse, with KeyError, what is neither a level nor two that may follow each other nor the column."""
    names = site.split("/")
    labels = [_LABELS.get(name) for name in names]
    is_level = len(labels) == 1 and labels[0] is not None
    is_pair = len(labels) == 2 and labels[0] is not None and labels[1] is not None and may_follow(labels[0], labels[1])
    if site != COLUMN and not is_level and not is_pair:
        raise KeyError(f"{site!r} is no site: give a level such as 'C3', a pair such as 'C3/C4', or {COLUMN!r}")


def measure_spine(labels: LabelVolume, ct: CtVolume, sex: str = "") -> SpineMeasurements:
    """Measure the vertebrae of a CT.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of ``ct``.
    ct : CtVolume
        The image.
    sex : str
        ``"M"`` or ``"F"``, for the published values; anything else if unknown.

    Returns
    -------
    SpineMeasurements
        A vertebra that touches the edge of the image, or is ``cut``, has no values, and neither have its pairs: none
        rather than a wrong one. Uncertainties are those of the resolution of the labels.

    Raises
    ------
    ValueError
        If labels and image have different shapes.
    """
    labels, ct = _in_order(labels, ct)
    shapes = shapes_in_image(labels, ct) if labels.labels_zyx.shape == ct.hu_zyx.shape else ()
    vertebrae = measure_vertebrae(labels, ct, shapes)
    geometry = find_geometry(labels, shapes)
    values = list(_values(labels, ct, shapes, vertebrae, geometry))
    spacing = labels.resolution_xyz
    unresolved = [(site, each.name) for site, each, value in values if _is_unresolved(each, value, spacing)]
    reported = tuple(
        MeasuredValue(
            site, each, round(value, each.digits), _rounded(uncertainty_of(each.name, spacing), each.digits),
            find_published(each.name, site, sex),
        )
        for site, each, value in values
        if (site, each.name) not in unresolved
    )  # fmt: skip
    discs = Counter(site for site, name in unresolved if name in _DISC_HEIGHTS)
    touching = tuple(site for site, count in discs.items() if count == len(_DISC_HEIGHTS))
    return SpineMeasurements(_with_values(vertebrae, reported), reported, touching, sex if sex in SEXES else "")


def _is_unresolved(measured: Quantity, value: float, spacing_xyz: tuple[float, float, float]) -> bool:
    return measured.name in _GAPS and value < min(spacing_xyz) / 2


def _in_order(labels: LabelVolume, ct: CtVolume) -> tuple[LabelVolume, CtVolume]:
    """Return views whose axes lead to left, posterior and superior, so that the order of an array changes no digit."""
    change = reorientation(labels.affine_lps, "LPS")
    affine = change.grid(labels.grid).affine_lps
    turned = replace(labels, labels_zyx=change.apply(labels.labels_zyx), affine_lps=affine)
    return turned, CtVolume(cast(HuArray, change.apply(ct.hu_zyx)), affine)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _with_values(
    vertebrae: Sequence[VertebraMeasurement], values: Sequence[MeasuredValue]
) -> tuple[VertebraMeasurement, ...]:
    by_site: dict[str, dict[str, float]] = {}
    for each in values:
        by_site.setdefault(each.site, {})[each.quantity.name] = each.value
    return tuple(replace(v, values=by_site.get(v.level, {})) for v in vertebrae)


Item = tuple[str, Quantity, float]


def _values(
    labels: LabelVolume,
    ct: CtVolume,
    shapes: Sequence[LevelShape],
    vertebrae: Sequence[VertebraMeasurement],
    geometry: Mapping[str, VertebraGeometry],
) -> Iterator[Item]:
    for shape, measured in zip(shapes, vertebrae, strict=True):
        if (found := geometry.get(measured.level)) is not None:
            yield from _items(measured.level, _vertebra(labels, ct, shape, measured, found))
    for upper, lower in _neighbours(geometry):
        yield from _items(
            f"{upper.level}/{lower.level}", _pair(measure_pair(upper, lower), upper.bone.shape.vertebra.region)
        )
    yield from _items(COLUMN, _column(geometry))


def _items(site: str, found: Mapping[str, float | None]) -> Iterator[Item]:
    for each in QUANTITIES:
        if (value := found.get(each.name)) is not None and isfinite(value):
            yield site, each, value


def _neighbours(geometry: Mapping[str, VertebraGeometry]) -> Iterator[tuple[VertebraGeometry, VertebraGeometry]]:
    """Yield neighbours of which both are complete, from head to foot."""
    ordered = [geometry[level.name] for level in VERTEBRAE if level.name in geometry]
    for upper, lower in pairwise(ordered):
        if may_follow(upper.bone.shape.vertebra.label, lower.bone.shape.vertebra.label):
            yield upper, lower


def _vertebra(
    labels: LabelVolume, ct: CtVolume, shape: LevelShape, measured: VertebraMeasurement, found: VertebraGeometry
) -> dict[str, float | None]:
    p10, median, p90 = percentiles(labels, ct, shape)
    values: dict[str, float | None] = {
        "volume_ml": measured.volume_ml,
        "mean_hu": measured.mean_hu,
        "std_hu": measured.std_hu,
        "p10_hu": p10,
        "median_hu": median,
        "p90_hu": p90,
    }
    return values | _body(ct, shape, found) | _canal(found)


def _body(ct: CtVolume, shape: LevelShape, found: VertebraGeometry) -> dict[str, float | None]:
    body, box = found.body, found.box
    if body is None:
        return {}
    values: dict[str, float | None] = {"body_depth_mm": body.depth}
    if box is None:
        return values
    values["body_width_mm"] = box.width
    if found.level == AXIS:
        return values
    measured = heights(body, box)
    if measured is None:
        return values
    anterior, middle, posterior = measured
    cylinder, core = trabecular(ct, shape, body, box, middle), eroded(ct, shape, body, box)
    return values | {
        "trabecular_hu": cylinder.mean if cylinder is not None else None,
        "trabecular_std_hu": cylinder.std if cylinder is not None else None,
        "eroded_body_hu": core.mean if core is not None else None,
        "body_volume_ml": float(box.mask().sum()) * STEP_MM**3 / 1000,
        "body_height_anterior_mm": anterior,
        "body_height_middle_mm": middle,
        "body_height_posterior_mm": posterior,
        "wedge_ratio": anterior / posterior if posterior else None,
        "biconcavity_ratio": middle / posterior if posterior else None,
        "height_loss": 1 - min(anterior, middle, posterior) / max(anterior, middle, posterior),
        "height_loss_worst": worst_height_loss(body, box),
    }


def _canal(found: VertebraGeometry) -> dict[str, float | None]:
    canal, section, body = found.canal, found.section, found.body
    if canal is None or section is None:
        return {}
    return {
        "canal_diameter_mm": canal.diameter_mm,
        "canal_area_mm2": canal.area_mm2,
        "canal_body_ratio": canal.diameter_mm / body.depth if body is not None else None,
        # The atlas has a tubercle where others have a spinous process.
        "spinous_length_mm": spinous_length(found.bone, section, canal) if found.level != ATLAS else None,
    }


def _pair(values: PairValues, region: Region) -> dict[str, float | None]:
    """Return the values of a pair; none of those that only wrong labels can give."""
    found: dict[str, float | None] = {
        "facet_gap_right_mm": values.facet_right_mm,
        "facet_gap_left_mm": values.facet_left_mm,
    }
    if any(angle is not None and abs(angle) > _MAX_ANGLE_DEG for angle in (values.angle_deg, values.disc_angle_deg)):
        return found
    if values.disc_heights_mm is not None and max(values.disc_heights_mm) > _MAX_DISC_MM[region]:
        return found
    found |= {"angle_deg": values.angle_deg, "disc_angle_deg": values.disc_angle_deg}
    if values.translation_mm is not None and abs(values.translation_mm) <= _MAX_SLIP_MM:
        found["translation_mm"] = values.translation_mm
    if values.disc_heights_mm is not None:
        found |= dict(zip(_DISC_HEIGHTS, values.disc_heights_mm, strict=True))
    return found


def _column(geometry: Mapping[str, VertebraGeometry]) -> dict[str, float | None]:
    atlas, axis = geometry.get(ATLAS), geometry.get(AXIS)
    interval = None
    if atlas is not None and axis is not None and atlas.section is not None:
        interval = atlantodental_interval(atlas.section, axis.bone)
    return {
        "lordosis_cobb_deg": cobb_deg(geometry),
        "lordosis_tangent_deg": posterior_tangent_deg(geometry),
        "atlantodental_interval_mm": interval,
        "t1_slope_deg": slope_deg(geometry),
    }
