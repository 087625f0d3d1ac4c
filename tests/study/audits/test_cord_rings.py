"""How a vertebra lies around the spinal cord."""

from __future__ import annotations

import numpy as np

from cspine.study.audits.cord_rings import MAX_CORD_OVERLAP, MIN_RING, cord_rings
from tests.builders.spine_phantom import canal, spine


def test_a_cord_within_the_canal_is_ringed_by_every_vertebra_and_one_beside_it_by_none() -> None:
    labels, shapes = spine()
    inside, beside = (cord_rings(labels, canal(aside_mm=aside), shapes) for aside in (0.0, 30.0))
    assert len(inside) == len(beside) == len(shapes)
    assert all(ring.holds and ring.overlap < MAX_CORD_OVERLAP for ring in inside.values())
    assert not any(ring.holds for ring in beside.values())
    assert max(ring.closed for ring in beside.values()) < MIN_RING


def test_a_level_without_cord_at_its_height_is_omitted() -> None:
    labels, shapes = spine()
    cord = canal()
    lowest = min(shapes, key=lambda shape: shape.centroid_lps[2])
    cord[: lowest.box_zyx[0].stop + 10] = False
    assert lowest.vertebra.name not in cord_rings(labels, np.asarray(cord), shapes)
