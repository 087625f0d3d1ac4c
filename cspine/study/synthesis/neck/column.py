"""One patient's column: whose bone stands at each level, and where motion, size and wear have put it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from cspine.core.errors import AtlasError
from cspine.study.synthesis.meshes import Points
from cspine.study.synthesis.neck.people import Bone, People, Person

#: Share of flexion, side bending and turning that each joint takes, by the label of the vertebra above it.
_SHARES = {1: 0.12, 2: 0.1, 3: 0.16, 4: 0.18, 5: 0.18, 6: 0.15, 7: 0.08, 8: 0.03}
_MIXED_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class PosedBone:
    """One vertebra of a patient.

    Parameters
    ----------
    label : int
        Of `cspine.core.anatomy`.
    bone : Bone
        Its form.
    person : str
        Whose bone it is.
    origin_mm, axes : ndarray, shape (3,) and (3, 3)
        Middle of the body in the patient, axes to L, P, S; the bone's x, y and z axes as columns.
    scale_xyz : ndarray, shape (3,)
        Size of the bone against its form, along its own axes.
    """

    label: int
    bone: Bone
    person: str
    origin_mm: Points
    axes: Points
    scale_xyz: Points

    @property
    def size(self) -> float:
        """Return the size against the atlas's vertebra of this level."""
        return float(np.cbrt(np.prod(self.scale_xyz))) * self.bone.size

    def point(self, x: float, y: float, z: float) -> Points:
        """Return where a point of the bone's frame lies, coordinates of the form in millimetres."""
        return np.asarray(self.origin_mm + self.axes @ (self.scale_xyz * np.array([x, y, z])))


def random_column(people: People, rng: np.random.Generator, person: str | None = None) -> tuple[PosedBone, ...]:
    """Draw a patient's column, head to foot: every level of the atlas.

    Parameters
    ----------
    people : People
        Whose bones may be used. In most necks one person's, completed from others; sometimes each level is another's.
    rng : Generator
        Source of randomness.
    person : str, optional
        Whose bones are used, completed from others; random if omitted.

    Raises
    ------
    AtlasError
        If no person has that name.
    """
    chosen = _choose(people, rng) if person is None else _completed(people, _named(people, person))
    size = rng.uniform(0.92, 1.12)
    axial = np.clip(rng.normal(1, 0.035, size=3), 0.92, 1.08)
    spread = rng.uniform(0, 0.05)
    wanted = _wanted_sizes(people, chosen)
    scales = {
        label: size * axial * (1 + spread * rng.uniform(-1, 1, size=3)) * wanted[label] / person.bones[label].size
        for label, person in chosen.items()
    }
    return _stand(people, chosen, scales, rng)


def _choose(people: People, rng: np.random.Generator) -> dict[int, Person]:
    """Return whose bone stands at each level of the atlas."""
    everybody = (people.atlas, *people.others)
    weight = np.array([1.0 + 0.12 * len(p.bones) * (p is not people.atlas) for p in everybody])
    main = everybody[int(rng.choice(len(everybody), p=weight / weight.sum()))]
    if rng.random() >= _MIXED_SHARE:
        return _completed(people, main)
    chosen = {}
    for label in sorted(people.atlas.bones):
        able = [p for p in everybody if label in p.bones]
        chosen[label] = able[int(rng.integers(len(able)))]
    return chosen


def _named(people: People, name: str) -> Person:
    for person in (people.atlas, *people.others):
        if person.name == name:
            return person
    raise AtlasError(
        f"there are no vertebrae of {name!r}", advice=f"Give a folder of anatomies that has a folder {name!r}."
    )


def _completed(people: People, main: Person) -> dict[int, Person]:
    """Return whose bone stands at each level of the atlas, in a neck of one person's bones."""
    chosen = {}
    for label in sorted(people.atlas.bones):
        if label in main.bones:
            chosen[label] = main
        else:  # what the person lacks comes from the most complete other one, or from the atlas
            able = [p for p in (people.atlas, *people.others) if label in p.bones]
            chosen[label] = max(able, key=lambda p: (p is not people.atlas, len(p.bones)))
    return chosen


def _wanted_sizes(people: People, chosen: dict[int, Person]) -> dict[int, float]:
    """Return the size of each level relative to the atlas; bones of different people in one neck fit each other."""
    own = {label: person.bones[label].size for label, person in chosen.items()}
    known = [own[label] for label, person in chosen.items() if person is not people.atlas]
    common = float(np.median(known)) if known else 1.0
    names = {person.name for person in chosen.values() if person is not people.atlas}
    if len(names) <= 1:  # one person: that person's own proportions
        return {label: own[label] if p is not people.atlas else common for label, p in chosen.items()}
    return {label: (own[label] * common) ** 0.5 if p is not people.atlas else common for label, p in chosen.items()}


def _stand(
    people: People, chosen: dict[int, Person], scales: dict[int, Points], rng: np.random.Generator
) -> tuple[PosedBone, ...]:
    flexion, side, turn = rng.normal(0, 16), rng.normal(0, 7), rng.normal(0, 9)
    loose = rng.uniform(0.3, 1.6)
    nod, turn_of_head = rng.normal(0, 6), rng.normal(0, 11)
    tall = rng.normal(0, 0.6)
    labels = sorted(chosen)
    origin, axes = np.zeros(3), np.eye(3)
    posed = []
    for upper, lower in pairwise([0, *labels]):
        if upper:
            moved, turned = _rest(people, chosen, scales, upper, lower)
            share = _SHARES.get(upper, 0.0)
            small = loose if upper <= 8 else 0.3
            angles = np.array([flexion, side, turn]) * share + small * rng.normal(0, [1.8, 1.2, 1.2])
            shift = small * rng.normal(0, [0.4, 0.6, 0.35]) + np.array([0, 0, -0.5 * tall])
            if upper == 1:
                angles += np.array([nod, 0.0, turn_of_head])
                shift *= 0.5
            elif upper <= 8 and rng.random() < 0.2:  # a collapsed disc, or a slip
                shift += [0.0, rng.normal(0, 1.2), rng.uniform(0.5, 3.0)]
            motion = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
            origin = origin + axes @ (moved + shift)
            axes = axes @ motion @ turned
        person = chosen[lower]
        posed.append(PosedBone(lower, person.bones[lower], person.name, origin, axes, scales[lower]))
    return _settled(people, tuple(posed))


def _rest(
    people: People, chosen: dict[int, Person], scales: dict[int, Points], upper: int, lower: int
) -> tuple[Points, Points]:
    """Place and axes of a bone in the frame of the one above it, as the two people's own necks hold them."""
    moves, turns = [], []
    able = {p.name: p for p in (chosen[upper], chosen[lower]) if upper in p.bones and lower in p.bones}
    for person in able.values() or [people.atlas]:
        a, b = person.bones[upper], person.bones[lower]
        grown = (scales[upper] * chosen[upper].bones[upper].size + scales[lower] * chosen[lower].bones[lower].size) / (
            a.size + b.size
        )
        moves.append(a.axes.T @ (b.origin_mm - a.origin_mm) * grown)
        turns.append(a.axes.T @ b.axes)
    return np.mean(moves, axis=0), Rotation.from_matrix(np.array(turns)).mean().as_matrix()


def _settled(people: People, posed: tuple[PosedBone, ...]) -> tuple[PosedBone, ...]:
    """Move and rotate the complete column to the position of the atlas's: C1..T1 as near to it as can be."""
    neck = [bone for bone in posed if bone.label <= 8]
    rest = [people.atlas.bones[bone.label] for bone in neck]
    here, there = np.array([b.origin_mm for b in neck]), np.array([b.origin_mm for b in rest])
    frames = np.concatenate([here - here.mean(axis=0), *(10 * np.array([b.axes[:, i] for b in neck]) for i in (0, 1))])
    goals = np.concatenate([there - there.mean(axis=0), *(10 * np.array([b.axes[:, i] for b in rest]) for i in (0, 1))])
    turn = Rotation.align_vectors(goals, frames)[0].as_matrix()
    move = there.mean(axis=0) - turn @ here.mean(axis=0)
    return tuple(
        PosedBone(b.label, b.bone, b.person, turn @ b.origin_mm + move, turn @ b.axes, b.scale_xyz) for b in posed
    )
