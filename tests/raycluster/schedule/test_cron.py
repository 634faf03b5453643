"""When schedules are due, where clocks change too."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raycluster.errors import ClusterError
from raycluster.schedule.cron import check_cron, check_timezone, due_times, next_due

ZONES = [
    "UTC",
    "Asia/Tokyo",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
]
YEAR = 2026


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def text(moment: float, zone: str) -> str:
    return dt.datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(zone)).isoformat()


def first_moment(day: dt.date, hour: int, minute: int, zone: zoneinfo.ZoneInfo) -> int:
    """Return the first moment of a day at which clocks show a time or, where none does, a later one: slow and plain."""
    start = int(dt.datetime.combine(day, dt.time(), zone).timestamp()) - 3 * 3600
    for moment in range(start, start + 30 * 3600, 60):
        local = dt.datetime.fromtimestamp(moment, zone)
        if local.date() == day and (local.hour, local.minute) >= (hour, minute):
            return moment
    raise AssertionError("no such day")


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        ("Europe/Berlin", "2026-03-28T12:00+00:00", "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-10-24T12:00+00:00", "2026-10-25T02:30:00+02:00"),
        ("Asia/Tokyo", "2026-03-28T12:00+00:00", "2026-03-29T02:30:00+09:00"),
    ],
)
def test_hours_that_do_not_exist_or_exist_twice(zone: str, after: str, expected: str) -> None:
    """02:30 in the gap is due at its end; 02:30 that comes twice is due at the first of the two."""
    due = next_due("30 2 * * *", zone, at(after))
    assert text(due, zone) == expected
    following = next_due("30 2 * * *", zone, due)
    assert dt.datetime.fromtimestamp(following, zoneinfo.ZoneInfo(zone)).strftime("%H:%M") == "02:30"
    assert 22 * 3600 < following - due < 26 * 3600


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    day=st.dates(dt.date(YEAR, 1, 1), dt.date(YEAR, 12, 28)),
)
def test_daily_schedules_are_due_once_a_day(zone: str, hour: int, minute: int, day: dt.date) -> None:
    """On every day, whatever the clocks do; asked from any moment, the answer is the next of the same times."""
    tz = zoneinfo.ZoneInfo(zone)
    expected = [first_moment(day + dt.timedelta(n), hour, minute, tz) for n in range(3)]
    found = due_times(f"{minute} {hour} * * *", zone, expected[0], expected[2], 10)
    assert found[0] == expected
    for before, after in pairwise(expected):
        for moment in (before, before + 1, (before + after) // 2, after - 1):
            assert next_due(f"{minute} {hour} * * *", zone, moment) == after


@pytest.mark.parametrize("day", [dt.date(YEAR, 3, 29), dt.date(YEAR, 10, 25), dt.date(YEAR, 3, 28)])
def test_stars_go_by_the_time_that_passes(day: dt.date) -> None:
    """`0 * * * *` is due every hour of a day of 23, 24 or 25; `*/20` every twenty minutes."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    start, end = (int(dt.datetime.combine(d, dt.time(), zone).timestamp()) for d in (day, day + dt.timedelta(1)))
    for cron, every in (("0 * * * *", 3600), ("*/20 * * * *", 1200)):
        times, following = due_times(cron, "Europe/Berlin", start, end - 1, 1000)
        assert times == list(range(start, end, every))
        assert following == end


def test_several_times_in_a_gap_are_one() -> None:
    """Nothing is due twice at one moment."""
    due = next_due("0,20,40 2 * * *", "Europe/Berlin", at("2026-03-28T12:00+00:00"))
    assert text(due, "Europe/Berlin") == "2026-03-29T03:00:00+02:00"
    assert text(next_due("0,20,40 2 * * *", "Europe/Berlin", due), "Europe/Berlin") == "2026-03-30T02:00:00+02:00"


def test_so_many_at_once() -> None:
    """A long absence is taken in by pieces, which join without a gap."""
    first, until = int(at("2026-01-01T00:00+00:00")), at("2026-01-01T02:00+00:00")
    some, following = due_times("* * * * *", "UTC", first, until, 100)
    rest, _ = due_times("* * * * *", "UTC", following, until, 100)
    assert some + rest == list(range(first, int(until) + 1, 60))


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("* * * *", "UTC", "4 field"),
        ("@daily", "UTC", "1 field"),
        ("0 0 3 * * *", "UTC", "6 field"),
        ("61 * * * *", "UTC", "minute"),
        ("x * * * *", "UTC", "minute"),
        ("0 0 30 2 *", "UTC", "day-of-month"),
        ("", "UTC", "0 field"),
        ("0 3 * * *", "Mars/Olympus", "'Mars/Olympus'"),
        ("0 3 * * *", "", "''"),
        ("0 3 * * *", "../../etc/passwd", "passwd"),
    ],
)
def test_mistakes_are_named(cron: str, zone: str, words: str) -> None:
    """What cannot be due is refused when it is asked for, not at three in the morning."""

    def check() -> None:
        check_timezone(zone)
        check_cron(cron, at("2026-01-01T00:00+00:00"))

    with pytest.raises(ClusterError, match=words):
        check()
