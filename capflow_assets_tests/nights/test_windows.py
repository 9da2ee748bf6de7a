"""Nights in local days: over midnight, over a change of the clocks, after a change of zone, and after nights missed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import inf

import pytest
from pydantic import ValidationError

from capflow_assets.customers.night_settings import NightSettings, declared_night
from capflow_assets.errors import CustomerError
from capflow_assets.nights.windows import due_night, newest_night, next_night, night_of

EVENING = NightSettings(start="22:30", deadline="06:00")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_night_is_called_after_the_day_on_which_it_begins() -> None:
    night = newest_night(EVENING, moment("2024-06-02T03:00"), "Europe/Berlin")
    assert night == ("2024-06-01", moment("2024-06-01T20:30"), moment("2024-06-02T04:00"))
    assert night_of(NightSettings(start="01:00"), date(2024, 6, 2), "UTC").deadline == inf


def test_its_own_zone_wins_over_the_customers() -> None:
    tokyo = NightSettings(start="22:30", zone="Asia/Tokyo")
    assert night_of(tokyo, date(2024, 6, 1), "Europe/Berlin").start == moment("2024-06-01T13:30")


def test_a_start_that_the_clocks_leave_out_or_have_twice_is_one_moment() -> None:
    left_out = night_of(NightSettings(start="02:30", deadline="03:30"), date(2024, 3, 31), "Europe/Berlin")
    assert left_out.start == moment("2024-03-31T01:30")
    assert left_out.deadline > left_out.start
    twice = night_of(NightSettings(start="02:30"), date(2024, 10, 27), "Europe/Berlin")
    assert twice.start == moment("2024-10-27T00:30")


def test_nights_that_were_missed_collapse_into_the_newest() -> None:
    night = due_night(EVENING, moment("2024-06-09T12:00"), "UTC", last_day="2024-06-01")
    assert night is not None
    assert night.day == "2024-06-08"
    assert due_night(EVENING, moment("2024-06-09T12:00"), "UTC", last_day="2024-06-08") is None
    assert next_night(EVENING, moment("2024-06-09T12:00"), "UTC", "2024-06-08").start == moment("2024-06-09T22:30")


def test_no_day_has_two_nights_though_the_zone_changes_between_them() -> None:
    """From Auckland to Honolulu it is the day before again; nothing is due until a new day begins there."""
    now = moment("2024-06-02T12:00")
    auckland, honolulu = (
        EVENING.model_copy(update={"zone": zone}) for zone in ("Pacific/Auckland", "Pacific/Honolulu")
    )
    first = due_night(auckland, now, "UTC", "2024-06-01")
    assert first is not None
    assert first.day == "2024-06-02"
    assert due_night(honolulu, now, "UTC", first.day) is None
    assert next_night(honolulu, now, "UTC", first.day).day == "2024-06-03"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"start": "22:00", "deadline": "21:00"}, "21:00 lies before it"),
        ({"start": "22:00", "deadline": "22:00"}, "22:00 lies before it"),
        ({"start": "24:00"}, "a time of day"),
        ({"start": "9:00"}, "a time of day"),
        ({"start": "\u0662\u0662:\u0663\u0660"}, "a time of day"),
        ({"start": "22:00", "zone": "Mars"}, "an IANA time zone"),
        ({"start": "22:00", "begin": "21:00"}, "not permitted"),
        ({}, "required"),
    ],
)
def test_a_night_that_cannot_be_is_refused(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NightSettings.model_validate(settings)


def test_what_a_toml_says_of_its_night_is_read_without_the_rest() -> None:
    text = 'vertical = "music"\ntime_zone = "Asia/Tokyo"\n[night]\nstart = "22:00"\ndeadline = "05:00"\n'
    declared = declared_night(text, "boots.toml")
    assert (declared.vertical, declared.zone, declared.night) == (
        "music",
        "Asia/Tokyo",
        NightSettings(start="22:00", deadline="05:00"),
    )
    assert declared_night('vertical = "music"', "boots.toml").night is None
    with pytest.raises(CustomerError, match=r"night\.deadline"):
        declared_night(text.replace("05:00", "soon"), "boots.toml")
    with pytest.raises(CustomerError, match="Mars"):
        declared_night(text.replace("Asia/Tokyo", "Mars"), "boots.toml")
