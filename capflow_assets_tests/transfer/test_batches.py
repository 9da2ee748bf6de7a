"""Rows in batches, and batches of which a row is refused: on random ones, against what can be counted."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.transfer.batches import Rejection, Row, Tally, packed, post_apart

sizes = st.lists(st.integers(1, 12), max_size=60)


def rows_of_sizes(sizes: Sequence[int]) -> list[Row]:
    return [Row((place,), {}, b"x" * size) for place, size in enumerate(sizes)]


@given(sizes, st.integers(1, 7), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_batches_hold_every_row_once_in_order_and_within_both_bounds(sizes: list[int], count: int, most: int) -> None:
    batches = list(packed(rows_of_sizes(sizes), count, most))
    assert [row.key[0] for batch in batches for row in batch] == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) <= count
        assert len(batch) == 1 or sum(len(row.json) + 1 for row in batch) <= most


@given(st.integers(1, 40), st.sets(st.integers(0, 39)), st.booleans())
@settings(max_examples=100, deadline=None)
def test_exactly_the_wrong_rows_are_refused_whether_they_are_named_or_not(
    count: int, wrong: set[int], is_named: bool
) -> None:
    taken: list[int] = []

    def post(part: Sequence[Row]) -> Rejection | None:
        reasons = {place: "wrong" for place, row in enumerate(part) if row.key[0] in wrong}
        if not reasons:
            taken.extend(row.key[0] for row in part)
            return None
        return Rejection("one is wrong", reasons if is_named else {})

    tally = Tally()
    post_apart(rows_of_sizes([1] * count), post, tally)
    assert sorted(taken) == [place for place in range(count) if place not in wrong]
    assert sorted(refused.key[0] for refused in tally.refused) == sorted(wrong & set(range(count)))
    assert tally.sent().rows == len(taken)


def test_rows_that_were_taken_beside_refused_ones_are_not_posted_again_and_unknown_ones_are_said() -> None:
    posts: list[int] = []

    def post(part: Sequence[Row]) -> Rejection:
        posts.append(len(part))
        return Rejection("", {0: "wrong"}, "taken" if len(posts) == 1 else "unknown")

    tally = Tally()
    for _ in range(2):
        post_apart(rows_of_sizes([1, 1, 1]), post, tally)
    assert (posts, tally.rows, len(tally.refused), tally.unknown) == ([3, 3], 2, 2, [(1,), (2,)])
