"""The clock of a run, from which every date and time in an output comes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from cspine.core.errors import UsageError

#: Variable with the seconds since 1970 to use as "now": https://reproducible-builds.org/specs/source-date-epoch/.
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"


#: The first second of 9999: later years have no DICOM date in every time zone.
_LAST_EPOCH = 253_370_764_800


@dataclass(frozen=True)
class Clock:
    """A moment in time, rounded down to seconds.

    Parameters
    ----------
    moment : datetime
        Date and time with a time zone.

    Raises
    ------
    UsageError
        If the moment has no time zone.
    """

    moment: datetime

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None:
            raise UsageError("the clock needs a time zone")
        object.__setattr__(self, "moment", self.moment.replace(microsecond=0))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Clock:
        """Return the clock that SOURCE_DATE_EPOCH sets (in UTC), or the current local time.

        Parameters
        ----------
        environment : mapping, optional
            Environment variables; those of the process if omitted.

        Raises
        ------
        UsageError
            If SOURCE_DATE_EPOCH is not a number of seconds.
        """
        epoch = (os.environ if environment is None else environment).get(EPOCH_VARIABLE, "").strip()
        if not epoch:
            return cls(datetime.now().astimezone())
        if not epoch.isascii() or not epoch.isdecimal() or len(epoch) > 12 or int(epoch) > _LAST_EPOCH:
            raise UsageError(
                f"{EPOCH_VARIABLE} is not a number of seconds since 1970",
                advice=f"Unset {EPOCH_VARIABLE}, or set it to a number as `date +%s` prints.",
            )
        return cls(datetime.fromtimestamp(int(epoch), tz=UTC))

    @classmethod
    def from_iso(cls, text: str) -> Clock:
        """Return the clock for a text that `iso` wrote.

        Parameters
        ----------
        text : str
            Date and time in ISO 8601 with a time zone.

        Raises
        ------
        UsageError
            If the text is not a date and time in ISO 8601 with a time zone.
        """
        try:
            return cls(datetime.fromisoformat(text))
        except ValueError as error:
            raise UsageError("the clock is not a date and time in ISO 8601") from error

    @property
    def iso(self) -> str:
        """Date and time in ISO 8601."""
        return self.moment.isoformat()

    def in_zone(self, offset: str) -> Clock:
        """Return the same moment in the zone of (0008,0201) *Timezone Offset From UTC*, for example ``"+0100"``.

        Parameters
        ----------
        offset : str
            The offset as DICOM writes it: sign, hours, minutes.

        Raises
        ------
        ValueError
            If the offset is malformed.
        """
        zone = datetime.strptime(offset, "%z").tzinfo
        return Clock(self.moment.astimezone(zone or timezone(timedelta(0))))

    @property
    def da(self) -> str:
        """Date as a DICOM DA value."""
        return self.moment.strftime("%Y%m%d")

    @property
    def tm(self) -> str:
        """Time as a DICOM TM value."""
        return self.moment.strftime("%H%M%S")

    @property
    def dt(self) -> str:
        """Date and time as a DICOM DT value, with the offset from UTC."""
        return self.moment.strftime("%Y%m%d%H%M%S%z")
