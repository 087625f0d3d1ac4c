from datetime import UTC, datetime, timedelta, timezone

import pytest

from cspine.core.errors import UsageError
from cspine.dicom.clock import Clock


def test_source_date_epoch_sets_the_clock_in_utc() -> None:
    clock = Clock.from_environment({"SOURCE_DATE_EPOCH": "1700000000"})
    assert (clock.da, clock.tm, clock.dt) == ("20231114", "221320", "20231114221320+0000")


def test_without_it_the_clock_is_now_with_a_zone_and_integer_seconds() -> None:
    before = datetime.now(tz=UTC) - timedelta(seconds=1)
    clock = Clock.from_environment({})
    assert before <= clock.moment <= datetime.now(tz=UTC)
    assert clock.moment.microsecond == 0


@pytest.mark.parametrize("value", ["yesterday", "abc", "1e9", "9" * 30, "-1", "1_0", "١٢", "253402300800", "9" * 5000])
def test_a_malformed_epoch_is_refused(value: str) -> None:
    with pytest.raises(UsageError):
        Clock.from_environment({"SOURCE_DATE_EPOCH": value})


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError):
        Clock(datetime(2024, 1, 1))
    with pytest.raises(UsageError):
        Clock.from_iso("2024-01-01T00:00:00")


def test_iso_is_read_back() -> None:
    clock = Clock(datetime(2024, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=1))))
    assert Clock.from_iso(clock.iso) == clock


def test_another_zone_is_the_same_moment() -> None:
    clock = Clock(datetime(2024, 3, 1, 23, 30, tzinfo=UTC)).in_zone("+0100")
    assert (clock.da, clock.tm) == ("20240302", "003000")
