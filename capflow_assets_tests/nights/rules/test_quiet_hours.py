"""The end of quiet hours, in nights in which the clocks change and in others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from capflow_assets.nights.rules.quiet_hours import quiet_until


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "hours", "until"),
    [
        ("2026-06-01T20:30:15", "Europe/Berlin", ("21:00", "08:00"), "2026-06-02T06:00"),
        ("2026-06-01T10:30:15", "Europe/Berlin", ("21:00", "08:00"), "2026-06-01T10:30:15"),
        ("2026-06-01T20:30", "Asia/Kathmandu", ("21:00", "08:00"), "2026-06-02T02:15"),
        # From 02:00 the clock is put to 03:00: there is no 02:30.
        ("2026-03-29T00:15", "Europe/Berlin", ("00:30", "02:30"), "2026-03-29T01:00"),
        ("2026-03-28T21:00", "Europe/Berlin", ("21:00", "08:00"), "2026-03-29T06:00"),
        # From 03:00 it is put back to 02:00: 02:15 comes twice, and it is quiet twice.
        ("2026-10-25T00:10", "Europe/Berlin", ("02:00", "02:15"), "2026-10-25T00:15"),
        ("2026-10-25T01:10", "Europe/Berlin", ("02:00", "02:15"), "2026-10-25T01:15"),
        ("2026-10-24T22:00", "Europe/Berlin", ("21:00", "08:00"), "2026-10-25T07:00"),
    ],
)
def test_quiet_hours_end(now: str, zone: str, hours: tuple[str, str], until: str) -> None:
    assert quiet_until(utc(now), zone, hours) == utc(until)
