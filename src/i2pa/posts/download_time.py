"""When counts were read, as one who reads or pairs posts says it for those that do not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from i2pa.errors import UserInputError, require

_REMEDY = "give the day on which the counts were read"


def as_download_time(given: datetime | None) -> datetime | None:
    """The time in UTC, which a naive one is taken to be in.

    Raises UserInputError where it is more than a day ahead (counts cannot be read before they are)
    or no year of UTC.
    """
    is_time = given is None or isinstance(given, datetime)
    require(is_time, "downloaded_at", given, "a datetime")
    if given is None:
        return None
    try:
        time = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except OverflowError as error:
        raise UserInputError(
            f"the time of download {given.isoformat()} is outside the years 1 to 9999 in UTC",
            remedy=_REMEDY,
        ) from error
    if time > datetime.now(UTC) + timedelta(days=1):
        raise UserInputError(
            f"the time of download {time:%Y-%m-%d %H:%M} is in the future",
            remedy=_REMEDY,
        )
    return time
