"""Who takes part in a dry run."""

from cspine.core.errors import UsageError
from cspine.study.dry_run.plan import Source, plan_cohort
from tests.builders.other_process import output_with_another_hash_seed
from tests.builders.raises import raises_code


def test_every_source_has_patients_and_none_is_planned_twice() -> None:
    scans = plan_cohort(30)
    assert len(scans) == 30
    assert {scan.source for scan in scans} == set(Source)
    assert len({(scan.source, scan.number) for scan in scans}) == 30
    assert len({scan.seed for scan in scans}) == 30


def test_the_external_source_shows_necks_alone_and_the_colon_none() -> None:
    scans = plan_cohort(60)
    external = [scan for scan in scans if scan.source is Source.TOTALSEGMENTATOR]
    assert len(external) > 15
    assert all(scan.first == "C1" for scan in external)
    assert all(scan.last == "L5" for scan in scans if scan.source is Source.MSD_COLON)


def test_one_case_has_wrong_labels() -> None:
    assert sum(scan.swapped for scan in plan_cohort(24)) == 1


def test_a_seed_gives_the_same_patients_and_another_gives_others() -> None:
    code = "from cspine.study.dry_run.plan import plan_cohort\nprint(plan_cohort(24, 5))"
    assert output_with_another_hash_seed(code) == f"{plan_cohort(24, 5)}\n"
    assert {scan.seed for scan in plan_cohort(24, 5)}.isdisjoint(scan.seed for scan in plan_cohort(24, 6))


def test_too_few_patients_are_refused() -> None:
    with raises_code(UsageError, 5):
        plan_cohort(5)
