"""Paths and credits of a few messages, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.attribution_credit import (
    Law,
    last_touch_credit,
    law_of,
    markov_credit,
    shapley_credit,
)
from capflow_assets.learning.attribution_paths import Stretches, stretches_of, touches_of

FIRST = np.datetime64("2024-01-01", "D")
CREDITS = (markov_credit, shapley_credit)


def messages(*rows: tuple[str, str | None, str, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "campaign_id", "day", "is_control"])
    sent_at = pd.to_datetime(frame["day"], utc=True) + pd.Timedelta(hours=9)
    return frame.assign(channel="email", sent_at=sent_at)


def bills(*rows: tuple[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "day"])
    return frame.assign(day=frame["day"].to_numpy().astype("datetime64[D]").astype("int64"))


def stretches(sent: pd.DataFrame, sold: pd.DataFrame, today: str = "2024-04-30", days: int = 10) -> Stretches:
    touches = touches_of(sent, pd.Series(dtype=object), sold["user_id"], "UTC", FIRST)
    return stretches_of(touches, sold, int(np.datetime64(today, "D").astype("int64")), days, seed=0)


def test_stretches_end_where_another_message_begins_or_one_ceases() -> None:
    sent = messages(("ann", "A", "2024-03-01", False), ("ann", "B", "2024-03-05", False))
    sold = bills(("ann", "2024-02-01"), ("ann", "2024-03-01"), ("ann", "2024-03-10"), ("ann", "2024-03-14"))
    rows = stretches(sent, sold)
    # A alone for four days, both for six, B alone for the last four.
    assert rows.touched[:, :2].tolist() == [[0, -1], [1, 0], [1, -1]]
    assert rows.bills.tolist() == [1, 1, 1]


def test_what_is_expected_is_read_off_others_alike_who_were_sent_nothing() -> None:
    others = [f"u{number:03d}" for number in range(200)]
    sent = messages(("ann", "A", "2024-03-01", False), *((user, "A", "2024-03-01", True) for user in others[:50]))
    # Those held out come daily, and nobody looks at them; of the others each comes twice in the ten days.
    before = [(user, "2024-02-01") for user in ("ann", *others)]
    daily = [(user, f"2024-03-{day:02d}") for user in others[:50] for day in range(1, 11)]
    twice = [(user, f"2024-03-{day:02d}") for user in others[50:] for day in (2, 9)]
    rows = stretches(sent, bills(*before, *daily, *twice))
    assert rows.expected == pytest.approx([2.0], rel=1e-6)


def test_users_who_never_came_before_are_credited_to_nobody() -> None:
    sent = messages(("ann", "A", "2024-03-01", False), ("bob", "A", "2024-03-01", False))
    rows = stretches(sent, bills(("ann", "2024-03-03"), ("bob", "2024-02-01"), ("bob", "2024-03-03")))
    assert np.isnan(rows.expected).tolist() == [True, False]
    law = law_of(rows, 1)
    assert last_touch_credit(rows, 1, law).tolist() == [2]
    assert all(np.isfinite(credit(rows, 1, law)).all() for credit in CREDITS)


def test_a_long_path_begins_anew() -> None:
    sent = messages(
        *(("ann", "A", f"2024-{month:02d}-{day:02d}", False) for month in (1, 2) for day in range(1, 28, 5))
    )
    rows = stretches(sent, bills(("ann", "2023-12-01"), ("bob", "2023-12-01"), ("bob", "2024-02-01")))
    assert np.isfinite(rows.expected).all()
    assert len(rows.bills) > 10


def test_nothing_to_see_is_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="0 messages, 1 bills"):
        stretches(messages(), bills(("ann", "2024-03-01")))
    with pytest.raises(EvidenceError, match="1 messages, 0 bills"):
        stretches(messages(("ann", None, "2024-03-01", False)), bills())


# Player 0 doubles what is expected; player 1 adds nothing by itself, and after 0 half as much again.
PLANTED = Stretches(
    touched=np.array([[0, -1], [1, -1], [1, 0]]),
    bills=np.array([200.0, 100.0, 250.0]),
    expected=np.array([100.0, 100.0, 100.0]),
)
EXACT = Law(1.0, 0.0)


def test_shapley_shares_what_messages_bring_together() -> None:
    # Both bring 1.5 of 100: 0 brings 1 first or 1.5 last, 1 brings 0 first or 0.5 last.
    np.testing.assert_allclose(shapley_credit(PLANTED, 2, EXACT), [100 + 125, 0 + 25])


def test_removal_leaves_the_user_with_the_message_before() -> None:
    # The state of 1 has 350 bills where 200 are expected, 1.75; without it the user stays in that of 0, which has 2.
    np.testing.assert_allclose(markov_credit(PLANTED, 2, EXACT), [100 + 100, 75 - 25])


def test_last_touch_credits_all() -> None:
    assert last_touch_credit(PLANTED, 2, EXACT).tolist() == [200, 350]


@pytest.mark.parametrize("credit", CREDITS)
def test_messages_that_bring_nothing_are_credited_nothing(credit: object) -> None:
    random = np.random.default_rng(3)
    touched = np.stack([random.integers(0, 12, 4000), random.integers(-1, 12, 4000)], axis=1)
    expected = random.uniform(0.2, 2, 4000)
    rows = Stretches(touched, random.poisson(expected).astype(float), expected)
    law = law_of(rows, 12)
    assert law.prior > 200
    assert np.abs(credit(rows, 12, law)).max() < 0.1 * expected.sum() / 12  # type: ignore[operator]
