"""When a schedule is due: cron expressions of five fields, in a timezone.

Where clocks change, the rules are those of Debian's cron, so that what is written with fixed hours and minutes (``0 3 *
* *``) is due once on every day that it names: at the moment after the gap where its hour does not exist, and at the
first of the two where it exists twice. Expressions whose minutes or hours begin with a star go by the time that passes.
"""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo
from collections.abc import Iterator

from cronsim import CronSim, CronSimError

from raycluster.errors import ClusterError

# The last second that dates can say.
NEVER = 253402300799


def check_timezone(timezone: str) -> None:
    """Refuse a timezone that is unknown here.

    Raises
    ------
    ClusterError
        Naming it.
    """
    _zone(timezone)


def check_cron(expression: str, now: float) -> None:
    """Refuse an expression that is none, or is never due.

    Raises
    ------
    ClusterError
        Naming what is wrong.
    """
    if (fields := len(expression.split())) != 5:
        raise ClusterError(
            f"the cron expression {expression!r} has {fields} field(s); expected five: minute, hour, day of month, "
            "month, day of week, such as '0 3 * * *'"
        )
    try:
        due = next_due(expression, "UTC", now)
    except CronSimError as error:
        raise ClusterError(f"the cron expression {expression!r} cannot be read: {error}") from None
    if due == NEVER:
        raise ClusterError(f"the cron expression {expression!r} is never due")


def next_due(expression: str, timezone: str, after: float) -> int:
    """Return the first due time after a moment, exclusive; `NEVER` where there is none. Both in Unix seconds."""
    return next(_due_times(expression, timezone, after), NEVER)


def due_times(expression: str, timezone: str, first: int, until: float, limit: int) -> tuple[list[int], int]:
    """Return due times from the first one up to a moment, inclusive, at most so many; and the one that comes next.

    Parameters
    ----------
    first
        A due time.
    """
    found = [first]
    for due in _due_times(expression, timezone, first):
        if due > until or len(found) == limit:
            return found, due
        found.append(due)
    return found, NEVER


def _due_times(expression: str, timezone: str, after: float) -> Iterator[int]:
    start = dt.datetime.fromtimestamp(after, _zone(timezone))
    times = (int(time.timestamp()) for time in CronSim(expression, start))
    # In an hour that exists twice the library starts anew at the first of the two; in a gap, several times are one.
    later = (due for due in times if due > after)
    return (due for due, _ in itertools.groupby(later))


def _zone(timezone: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ClusterError(
            f"the timezone {timezone!r} is unknown here; expected a name such as Asia/Tokyo or UTC"
        ) from None
