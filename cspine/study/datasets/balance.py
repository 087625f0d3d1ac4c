"""Patients divided into groups of given sizes, so that each group has its share of every kind of patient.

Deterministic: a patient's turn, and the ties, follow from a checksum of its name and the seed, never from the order of
a table.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence


def distribute(patients: Mapping[str, Sequence[Hashable]], sizes: Sequence[int], seed: str) -> dict[str, int]:
    """Divide patients into groups.

    Each patient, in its turn, goes where its kinds are furthest below their share: the group with the least sum of
    ``(n + 1/2) / size`` over its kinds, n being how many of that kind the group has. For one kind that is the
    apportionment of Sainte-Lague; over several it is minimisation as in trials (Pocock and Simon 1975).

    Parameters
    ----------
    patients : mapping of str to sequence
        The kinds of each patient, one per factor: for example its source, its sex, its age group. Kinds of different
        factors are different even where they are equal.
    sizes : sequence of int
        Patients in each group; together as many as there are.
    seed : str
        Another seed divides otherwise.

    Returns
    -------
    dict of str to int
        Index of the group of each patient.

    Raises
    ------
    ValueError
        If the sizes are not those of the patients.
    """
    if sum(sizes) != len(patients) or min(sizes, default=0) < 0:
        raise ValueError(f"groups of {list(sizes)} patients cannot be made of {len(patients)}")
    counts: list[Counter[Hashable]] = [Counter() for _ in sizes]
    placed: dict[str, int] = {}
    full = [0] * len(sizes)
    for name in sorted(patients, key=lambda name: _draw(seed, name)):
        # The whole set of kinds and the size of the group are factors too.
        kinds = ["", tuple(patients[name]), *enumerate(patients[name])]
        open_groups = [group for group, size in enumerate(sizes) if full[group] < size]
        best = min(
            open_groups,
            key=lambda group: (
                round(sum(counts[group][kind] + 0.5 for kind in kinds) / sizes[group], 9),
                _draw(seed, f"{name} {group}"),
            ),
        )
        placed[name] = best
        full[best] += 1
        counts[best].update(kinds)
    return placed


def _draw(seed: str, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode()).hexdigest()
