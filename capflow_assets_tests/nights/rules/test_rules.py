"""The rules at the door as functions of arrays, held against a plain loop over the users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.nights.rules.consent import COLUMNS, consents_of
from capflow_assets.nights.rules.frequency import winners
from capflow_assets.nights.rules.holdout import is_held_out
from capflow_assets.nights.rules.quiet_hours import is_quiet

NOW = datetime(2026, 3, 1, 22, tzinfo=UTC)
DAYS = st.none() | st.integers(-3, 3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["ann", "bob"]),
            "status": st.sampled_from(["granted", "denied", "suppressed", " Granted ", "perhaps"]),
            "channel": st.sampled_from(["email", "sms", None]),
            "purpose": st.sampled_from(["marketing", "service", None]),
            "captured_at": DAYS,
            "valid_from": DAYS,
            "valid_until": DAYS,
        }
    ),
    max_size=8,
)


def moment(days: int | None) -> datetime | None:
    return None if days is None else NOW + timedelta(days=days)


def plainly(rows: list[dict], user: str) -> tuple[bool, bool]:
    """Consent and suppression of a user, one row after another."""
    last: tuple[float, bool] | None = None
    is_suppressed = False
    for row in rows:
        begins, ends = row["valid_from"], row["valid_until"]
        if row["user_id"] != user or (begins is not None and begins > 0) or (ends is not None and ends <= 0):
            continue
        status = row["status"].strip().lower()
        of_both = row["channel"] in ("email", None) and row["purpose"] in ("marketing", None)
        if status == "granted" and (row["channel"], row["purpose"]) != ("email", "marketing"):
            continue
        if not of_both:
            continue
        is_suppressed |= status == "suppressed"
        at = float("-inf") if row["captured_at"] is None else row["captured_at"]
        if last is None or at > last[0] or (at == last[0] and status != "granted"):
            last = (at, status == "granted")
    return (last is not None and last[1], is_suppressed)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_the_last_word_that_counts_holds_and_unknown_is_no(rows: list[dict]) -> None:
    import pyarrow as pa

    at = pa.timestamp("us", tz="UTC")
    kinds = {name: at if "at" in name.split("_") or "valid" in name else pa.string() for name in COLUMNS}
    times = ("captured_at", "valid_from", "valid_until")
    data = [row | {name: moment(row[name]) for name in times} for row in rows]
    table = pa.Table.from_pylist(data, schema=pa.schema([(name, kinds[name]) for name in COLUMNS]))
    consents = consents_of(table, "email", "marketing", NOW)
    users = pa.array(["ann", "bob", "nobody"])
    verdicts = list(zip(consents.has_consent(users).tolist(), consents.is_suppressed(users).tolist(), strict=True))
    assert verdicts == [*(plainly(rows, user) for user in ("ann", "bob")), (False, False)]


CLAIMS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from([0.1, 0.5, float("nan")])), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(CLAIMS, st.fixed_dictionaries({user: st.integers(-1, 3) for user in "abc"}))
def test_no_user_gets_more_than_is_left_and_who_goes_first_goes(claims: list[tuple], left: dict[str, int]) -> None:
    users, priorities, scores = (np.array([claim[place] for claim in claims]) for place in range(3))
    met = winners(
        users.astype(str), priorities, scores.astype(float), np.array([left[c[0]] for c in claims], dtype=int)
    )
    for user in "abc":
        own = [place for place, claim in enumerate(claims) if claim[0] == user]
        ranked = sorted(own, key=lambda place: (claims[place][1], -np.nan_to_num(claims[place][2], nan=-1), place))
        assert [place for place in own if met[place]] == sorted(ranked[: max(left[user], 0)])


def test_the_hold_out_is_the_share_of_users_that_was_asked_for_and_stays() -> None:
    users = [f"u{number}" for number in range(20_000)]
    held = is_held_out("2026", "boots", users, 5)
    assert 0.045 < held.mean() < 0.055
    assert (is_held_out("2026", "boots", users, 10) | ~held).all(), "a larger share holds out the same users and more"
    assert (is_held_out("2026", "boots", users[::-1], 5)[::-1] == held).all()
    number = int.from_bytes(sha256(b"2026\x1fboots\x1fu7").digest(), "big") % 10_000
    assert held[7] == (number < 500)
    assert not is_held_out("2026", "boots", users, 0).any()


@pytest.mark.parametrize(
    ("hour", "hours", "quiet"),
    [
        (20, ("21:00", "08:00"), False),
        (21, ("21:00", "08:00"), True),
        (7, ("21:00", "08:00"), True),
        (8, ("21:00", "08:00"), False),
        (13, ("12:00", "14:00"), True),
        (14, ("12:00", "14:00"), False),
    ],
)
def test_quiet_hours_are_counted_where_the_user_is(hour: int, hours: tuple[str, str], quiet: bool) -> None:
    there = datetime(2026, 7, 1, hour, tzinfo=UTC) - timedelta(hours=2)
    assert is_quiet(there, "Europe/Berlin", hours) == quiet
