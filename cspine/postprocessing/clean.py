"""Clean the labels of a network: keep the spinal column, clean its components, and report findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import CERVICAL_LEVELS, Region, Vertebra, is_full_spine, vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.findings import (
    FRAGMENTED,
    NO_CERVICAL_VERTEBRA,
    OFF_COLUMN_REMOVED,
    REASSIGNED,
    Finding,
)
from cspine.core.geometry import Grid, to_lps
from cspine.core.norms import MIN_REPORTED_MM3
from cspine.core.padding import shapes_in_image
from cspine.core.shape import Box, LevelShape, composed, occupied_box
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume
from cspine.postprocessing.bone_edge import extend_to_bone_edge
from cspine.postprocessing.column import keep_column
from cspine.postprocessing.components import Cleaning, clean_components, remove_small_components
from cspine.postprocessing.density import remove_air, remove_non_bone
from cspine.postprocessing.end_pieces import assign_end_pieces
from cspine.postprocessing.label_findings import age_findings, density_findings, facing_findings, volume_findings
from cspine.postprocessing.level_solver import solve_levels
from cspine.postprocessing.merged_levels import merged_level_findings
from cspine.postprocessing.numbering import find_sacrum, numbering_findings
from cspine.postprocessing.order import order_findings
from cspine.postprocessing.symmetry import side_findings

#: Smallest total volume of the cervical labels (full-spine model: of all labels) that counts as a result.
MIN_RESULT_MM3 = 500.0


@dataclass(frozen=True, eq=False)
class Scope:
    """The levels that a model can predict, and what it predicts besides.

    Parameters
    ----------
    levels : tuple of Vertebra
        Levels that the model can predict. If they go below T1, any vertebra is a result, and the number is checked.
    sacrum_zyx : ndarray of bool, shape (z, y, x), or None
        The sacrum on the grid of the labels; None if the model does not predict it.
    solve_levels : bool
        Renumber vertebrae where that makes the levels consecutive (`level_solver`, `end_pieces`).
    other_zyx : ndarray of bool, shape (z, y, x), or None
        Bone that the model predicts without a level, such as vertebrae below the last one.
    """

    levels: tuple[Vertebra, ...] = CERVICAL_LEVELS
    sacrum_zyx: NDArray[np.bool_] | None = None
    solve_levels: bool = True
    other_zyx: NDArray[np.bool_] | None = None


def postprocess(
    labels: LabelVolume,
    ct: CtVolume,
    patient_age_years: float | None,
    removed_before_mm3: Mapping[int, float] | None = None,
    scope: Scope | None = None,
) -> tuple[LabelVolume, tuple[Finding, ...]]:
    """Clean the labels and return them with the findings about them.

    Parameters
    ----------
    labels : LabelVolume
        Labels that the network predicted, on the grid of ``ct``.
    ct : CtVolume
        The image.
    patient_age_years : float or None
        Age at the time of the study; None if unknown.
    removed_before_mm3 : mapping of int to float, optional
        Volume that `column_only` removed before, by label; it is reported together with what is removed here.
    scope : Scope, optional
        Levels that the model can predict; C1..T1 if omitted.

    Returns
    -------
    labels : LabelVolume
        The vertebrae.
    findings : tuple of Finding
        In the order of the levels, those about the result as a whole first.

    Raises
    ------
    NoVertebraError
        If no cervical vertebra (C1..C7) remains; T1 alone does not count. For a full-spine model, if none remains.
    """
    scope = scope or Scope()
    column, removed = _column(labels)
    for label, volume in (removed_before_mm3 or {}).items():
        removed[label] = removed.get(label, 0.0) + volume
    in_air = remove_air(column, ct)
    cleaned, cleaning = column, Cleaning()
    box = _bounding_box(column)
    renamed: tuple[Finding, ...] = ()
    if box is not None and scope.solve_levels:
        renamed = _solve(column, box, ct, scope)
    if box is not None:
        x, y, z = labels.grid.spacing_xyz
        cleaned = np.zeros(column.shape, dtype=np.uint8)
        cleaned[box], cleaning = clean_components(column[box], (z, y, x), labels.grid.voxel_mm3)
    not_bone, soft_mm3 = remove_non_bone(cleaned, ct)
    cleaning.forget_fragments(soft_mm3)
    extend_to_bone_edge(cleaned, ct, scope.other_zyx)
    shapes = shapes_in_image(LabelVolume(cleaned, labels.affine_lps), ct)
    _require_vertebra(shapes, full_spine=is_full_spine(scope.levels))
    findings = [
        *age_findings(patient_age_years),
        *renamed,
        *_sequence_findings(shapes, labels.grid, scope),
        *merged_level_findings(shapes, cleaned, labels.grid),
        *side_findings(shapes, cleaned, labels.affine_lps),
        *facing_findings(LabelVolume(cleaned, labels.affine_lps), shapes),
        *_removal_findings(removed),
        *in_air,
        *not_bone,
        *_level_findings(shapes, cleaned, ct, cleaning),
    ]
    return LabelVolume(cleaned, labels.affine_lps, labels.model), tuple(findings)


def _solve(column: LabelArray, box: Box, ct: CtVolume, scope: Scope) -> tuple[Finding, ...]:
    """Correct levels that do not follow each other, in place, and return findings about the changes."""
    part, subgrid = column[box], _subgrid(ct.grid, box)
    if is_full_spine(scope.levels):
        column[box], renamed = solve_levels(part, subgrid, scope.levels)
        return renamed
    ends = assign_end_pieces(part, subgrid)
    # What the image cuts lies elsewhere along the column than the complete vertebra would: it says nothing here.
    cut = [s.vertebra.label for s in shapes_in_image(LabelVolume(column, ct.affine_lps), ct) if s.touches_edge]
    complete = np.where(np.isin(part, cut), np.uint8(0), part)
    solved, renamed = solve_levels(complete, subgrid, scope.levels)
    column[box] = np.where(solved == complete, part, solved)
    return (*ends, *renamed)


def _require_vertebra(shapes: tuple[LevelShape, ...], *, full_spine: bool) -> None:
    """Raise NoVertebraError if no vertebra remains that the model is intended for."""
    counted = [shape for shape in shapes if full_spine or shape.vertebra.region is Region.CERVICAL]
    if sum(shape.volume_mm3 for shape in counted) >= MIN_RESULT_MM3:
        return
    seen = ", ".join(shape.vertebra.name for shape in shapes) or "nothing"
    if full_spine:
        raise NoVertebraError(
            f"no vertebra was segmented ({NO_CERVICAL_VERTEBRA.code}); labels: {seen}",
            advice="Check that the series shows the spine. An empty result has no preview.",
        )
    raise NoVertebraError(f"no cervical vertebra was segmented ({NO_CERVICAL_VERTEBRA.code}); labels: {seen}")


def _sequence_findings(shapes: tuple[LevelShape, ...], grid: Grid, scope: Scope) -> tuple[Finding, ...]:
    if not is_full_spine(scope.levels):
        return order_findings(shapes)
    sacrum = None if scope.sacrum_zyx is None else find_sacrum(scope.sacrum_zyx, grid, shapes)
    on_sacrum = sacrum is not None and not sacrum.levels_between
    return (*order_findings(shapes, on_sacrum=on_sacrum), *numbering_findings(shapes, sacrum))


def column_only(labels: LabelVolume) -> LabelVolume:
    """Return the labels of the spinal column alone, without small components: what the next stage should see.

    Parameters
    ----------
    labels : LabelVolume
        Labels of a stage.
    """
    return LabelVolume(_column(labels)[0], labels.affine_lps, labels.model)


def _column(labels: LabelVolume) -> tuple[LabelArray, dict[int, float]]:
    """Return the labels of the column, and the volume that was removed away from it, by label."""
    kept = np.zeros(labels.labels_zyx.shape, dtype=np.uint8)
    occupied = _bounding_box(labels.labels_zyx)
    if occupied is None:
        return kept, {}
    without_small = remove_small_components(labels.labels_zyx[occupied], labels.grid.voxel_mm3)
    inner = _bounding_box(without_small)
    if inner is None:
        return kept, {}
    box = composed(occupied, inner)
    kept[box], removed = keep_column(without_small[inner], _subgrid(labels.grid, box))
    return kept, removed


def _bounding_box(labels_zyx: LabelArray) -> Box | None:
    """Return the bounding box of all labels with a margin of one voxel, or None if there are none."""
    return occupied_box(labels_zyx, (1, 1, 1))


def _subgrid(grid: Grid, box: Box) -> Grid:
    affine = grid.affine_lps.copy()
    start_xyz = np.array([[s.start for s in reversed(box)]], dtype=np.float64)
    affine[:3, 3] = to_lps(grid.affine_lps, start_xyz)[0]
    z, y, x = (s.stop - s.start for s in box)
    return Grid((z, y, x), affine)


def _removal_findings(removed_mm3: dict[int, float]) -> list[Finding]:
    return [
        OFF_COLUMN_REMOVED.about(
            f"{volume / 1000:.1f} ml labelled {vertebra(label).name} away from the spinal column were removed.",
            vertebra(label).name,
        )
        for label, volume in sorted(removed_mm3.items())
        if volume >= MIN_REPORTED_MM3
    ]


def _level_findings(
    shapes: tuple[LevelShape, ...], labels_zyx: LabelArray, ct: CtVolume, cleaning: Cleaning
) -> list[Finding]:
    findings: list[Finding] = []
    for shape in shapes:
        name, label = shape.vertebra.name, shape.vertebra.label
        findings += volume_findings(shape)
        fragments = cleaning.fragments_mm3.get(label, [])
        if fragments:
            sizes = ", ".join(f"{volume / 1000:.1f}" for volume in fragments)
            findings.append(
                FRAGMENTED.about(
                    f"{name} consists of {len(fragments) + 1} fragments; the smaller ones measure {sizes} ml.", name
                )
            )
        moved = {to: volume for (source, to), volume in cleaning.moved_mm3.items() if source == label}
        for to, volume in sorted(moved.items()):
            if volume >= MIN_REPORTED_MM3:
                taker = vertebra(to).name
                findings.append(
                    REASSIGNED.about(f"{volume / 1000:.1f} ml labelled {name} were assigned to {taker}.", name)
                )
        findings += density_findings(shape, labels_zyx, ct)
    return findings
