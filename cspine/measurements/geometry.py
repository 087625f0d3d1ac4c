"""Everything that is found in one complete vertebra before it is measured: frame, body, section and canal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cspine.core.facing import impossible_turn_deg
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelVolume
from cspine.measurements.body import Body, BodyBox, find_atlas_section, find_axis_body, find_body, sample_body
from cspine.measurements.canal import Canal, find_atlas_canal, find_canal
from cspine.measurements.frame import Bone, Frame, Vector, cut_out, find_frame
from cspine.measurements.section import Section, midsagittal

ATLAS, AXIS = "C1", "C2"


@dataclass(frozen=True, eq=False)
class VertebraGeometry:
    """The parts of a vertebra; None for what it does not have, or what was not found.

    Parameters
    ----------
    bone : Bone
        Its mask.
    frame : Frame
        Its axes.
    section : Section or None
        Midsagittal section.
    body : Body or None
        Body, in the section; none for the atlas.
    box : BodyBox or None
        Body in three dimensions.
    canal : Canal or None
        Canal behind the body; of the atlas, behind the dens.
    """

    bone: Bone
    frame: Frame
    section: Section | None = None
    body: Body | None = None
    box: BodyBox | None = None
    canal: Canal | None = None

    @property
    def level(self) -> str:
        """Name of the level."""
        return self.bone.shape.vertebra.name


def find_geometry(labels: LabelVolume, shapes: Sequence[LevelShape]) -> dict[str, VertebraGeometry]:
    """Return the geometry of every complete vertebra by its level; of none if the column faces elsewhere.

    Parameters
    ----------
    labels : LabelVolume
        The labels.
    shapes : sequence of LevelShape
        The vertebrae, from head to foot; those that touch the edge serve only the direction of the column.
    """
    if impossible_turn_deg(labels, shapes) is not None:
        return {}
    bones = {shape.vertebra.name: cut_out(labels, shape) for shape in shapes if not shape.touches_edge}
    directions = column_directions(shapes)
    return {level: _find(bones, level, directions[level]) for level in bones}


def column_directions(shapes: Sequence[LevelShape]) -> dict[str, Vector]:
    """Return the direction of the column at each vertebra, from the one below it to the one above."""
    if len(shapes) == 1:
        return {shapes[0].vertebra.name: np.array([0.0, 0.0, 1.0])}
    last = len(shapes) - 1
    return {
        shape.vertebra.name: shapes[max(i - 1, 0)].centroid_lps - shapes[min(i + 1, last)].centroid_lps
        for i, shape in enumerate(shapes)
    }


def _find(bones: Mapping[str, Bone], level: str, superior: Vector) -> VertebraGeometry:
    bone = bones[level]
    frame = find_frame(bone, superior)
    if level == ATLAS:
        return _atlas(bone, frame, bones.get(AXIS))
    body = find_axis_body(bone, frame) if level == AXIS else find_body(bone, frame)
    if body is None:
        return VertebraGeometry(bone, frame, midsagittal(bone, frame))
    return VertebraGeometry(
        bone, body.frame, body.section, body, sample_body(bone, body), find_canal(bone, body)
    )  # fmt: skip


def _atlas(bone: Bone, frame: Frame, axis: Bone | None) -> VertebraGeometry:
    section = find_atlas_section(bone, frame)
    if section is None:
        return VertebraGeometry(bone, frame)
    canal = find_atlas_canal(bone, section, axis) if axis is not None else None
    return VertebraGeometry(bone, section.frame, section, canal=canal)
