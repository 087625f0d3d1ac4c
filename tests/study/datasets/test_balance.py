"""Groups have the sizes that were asked for, and their share of every kind."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspine.study.datasets.balance import distribute

_PEOPLE = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), min_size=5, max_size=120)


@settings(max_examples=40, deadline=None)
@given(_PEOPLE, st.integers(2, 5), st.integers(0, 3))
def test_every_patient_gets_one_group_and_the_groups_their_sizes(people, count, seed):
    patients = {f"p{i}": kinds for i, kinds in enumerate(people)}
    sizes = [len(people) // count + (i < len(people) % count) for i in range(count)]
    assigned = distribute(patients, sizes, str(seed))
    assert set(assigned) == set(patients)
    assert [Counter(assigned.values())[group] for group in range(count)] == sizes
    shuffled = dict(sorted(patients.items(), reverse=True))
    assert distribute(shuffled, sizes, str(seed)) == assigned


@settings(max_examples=25, deadline=None)
@given(_PEOPLE.filter(lambda people: len(people) > 40), st.integers(0, 3))
def test_every_kind_is_spread_over_equal_groups(people, seed):
    patients = {f"p{i}": kinds for i, kinds in enumerate(people)}
    sizes = [len(people) // 4 + (i < len(people) % 4) for i in range(4)]
    assigned = distribute(patients, sizes, str(seed))
    for factor in range(3):
        for kind in {kinds[factor] for kinds in people}:
            counts = [sum(assigned[n] == g and patients[n][factor] == kind for n in patients) for g in range(4)]
            assert max(counts) - min(counts) <= 4, counts


def test_another_seed_splits_differently_and_wrong_sizes_are_refused():
    patients = {f"p{i}": (i % 3,) for i in range(30)}
    assert distribute(patients, [20, 10, 0], "1") != distribute(patients, [20, 10, 0], "2")
    assert distribute({}, [0, 0], "1") == {}
    for sizes in ([20, 9], [31, -1]):
        with pytest.raises(ValueError, match="30"):
            distribute(patients, sizes, "1")
