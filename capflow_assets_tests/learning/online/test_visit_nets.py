"""Lists of a net over baskets by its file against those of the night, by torch; and what a basket in hand changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.baskets import Baskets, baskets_of
from capflow_assets.learning.nets.loop import Plan
from capflow_assets.learning.online.files import OnlineModel, unpacked
from capflow_assets.learning.online.histories import histories, packed_visits, unpacked_visits
from capflow_assets.learning.online.visit_lists import VisitLists, ready_lists
from capflow_assets.learning.online.visit_nets import TOLERANCE, largest_gap, online_lists
from capflow_assets.learning.sequence_lists import SequenceNet, Shape, sequence_lists, trained_sequences

USERS, ITEMS, SIZE = 1_000, 60, 10
SHAPE = Shape(visits=6, size=8)


class Followed:
    """A trained net, as an estimator gives it."""

    def __init__(self, trained: SequenceNet, shape: Shape = SHAPE) -> None:
        self.trained, self.shape = trained, shape

    def visit_net(self) -> tuple[SequenceNet, Shape, int]:
        return self.trained, self.shape, SIZE


def walks(users: int, seed: int) -> list[tuple[str, str, int]]:
    """Who bought what on which visit: each goes on through the items by threes, from somewhere."""
    chance = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        item = int(chance.integers(ITEMS))
        for visit in range(int(chance.integers(1, 9))):
            bought = {item, *map(int, chance.integers(0, ITEMS, int(chance.integers(0, 3))))}
            rows += [(f"u{user:04}", f"i{one:02}", visit) for one in bought]
            item = (item + 3) % ITEMS
    return rows


def read(rows: list[tuple[str, str, int]]) -> Baskets:
    lines = pd.DataFrame(rows, columns=["user_id", "item_id", "visit"])
    days = pd.Timestamp("2024-05-01") + pd.to_timedelta(lines["visit"] * 7, unit="D")
    return baskets_of(lines.assign(billed_on=days, is_return=False, flags=""))


@pytest.fixture(scope="module")
def known() -> Baskets:
    return read(walks(USERS, seed=1))


@pytest.fixture(scope="module")
def trained(known: Baskets) -> SequenceNet:
    return trained_sequences(known, SHAPE, Plan(seed=0, epochs=2, seconds=20, batch=64, rate=0.01))[0]


@pytest.fixture(scope="module")
def online(trained: SequenceNet, known: Baskets) -> OnlineModel:
    return unpacked(online_lists(Followed(trained), known).packed())


@pytest.fixture(scope="module")
def lists(online: OnlineModel) -> VisitLists:
    return ready_lists(online)


def test_a_thousand_users_get_the_nights_lists(lists, trained, known):
    asked = np.arange(len(known.users))
    night = sequence_lists(trained, SHAPE, known, asked, SIZE)
    stored = [unpacked_visits(packed_visits(visits)) for _, visits in histories(known)]
    answers = lists.lists(stored)
    scores = np.array([[score for _, score in ranked] for ranked in answers])
    np.testing.assert_allclose(scores, night.scores, rtol=TOLERANCE, atol=TOLERANCE)
    pairs = zip(answers, night.items, strict=True)
    is_same = [[item for item, _ in ranked] == list(known.items[row]) for ranked, row in pairs]
    assert np.mean(is_same) > 0.99, "but for items whose scores are the same to a hundred-thousandth"
    assert largest_gap(lists, trained, SHAPE, known) <= TOLERANCE


def test_a_basket_in_hand_is_the_newest_visit(lists, trained, known):
    user, visits = next(histories(known))
    later = read([*walks(USERS, seed=1), (user, "i07", 99), (user, "i08", 99)])
    night = sequence_lists(trained, SHAPE, later, later.numbers(np.array([user])), SIZE)
    ((ranked,), (before,)) = lists.lists([[*visits, ["i07", "i08"]]]), lists.lists([visits])
    np.testing.assert_allclose([score for _, score in ranked], night.scores[0], rtol=TOLERANCE, atol=TOLERANCE)
    assert [item for item, _ in ranked] != [item for item, _ in before]


def test_what_is_unwanted_makes_room_for_others(lists, known):
    _, visits = next(histories(known))
    (whole,) = lists.lists([visits], k=SIZE + 2)
    unwanted = {"i03", "unheard of", whole[0][0]}
    (cut,) = lists.lists([visits], [unwanted], SIZE)
    assert [item for item, _ in cut] == [item for item, _ in whole if item not in unwanted][:SIZE]


def test_nobody_is_listed_anything_for_items_that_were_never_learned(lists):
    assert lists.lists([[], [["unheard of"]]]) == [[], []]
    everything = set(lists.items)
    assert lists.lists([[["i03"]]], [everything]) == [[]]


def test_a_net_that_looks_back_further_than_the_store_answers_as_of_the_night(trained, known):
    recipe = online_lists(Followed(trained, Shape(visits=21, size=8)), known).recipe
    assert recipe == {"kind": "code", "why": "it looks back on 21 visits, and the store keeps 20"}


def test_the_file_has_no_user(online, known):
    content = online.packed()
    assert not any(user.encode() in content for user in known.users[:50])
