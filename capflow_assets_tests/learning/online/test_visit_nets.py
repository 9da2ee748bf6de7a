"""Lists of a net over baskets by its file against those of the night, by torch; and what a basket in hand changes."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.baskets import Baskets
from capflow_assets.learning.online.files import OnlineModel, unpacked
from capflow_assets.learning.online.histories import histories, packed_visits, unpacked_visits
from capflow_assets.learning.online.visit_lists import VisitLists, ready_lists
from capflow_assets.learning.online.visit_nets import TOLERANCE, largest_gap, online_lists
from capflow_assets.learning.sequence_lists import SequenceNet, Shape, sequence_lists
from capflow_assets_tests.learning.online.walks import SHAPE, SIZE, Followed, read, trained_on, walks

USERS = 1_000


@pytest.fixture(scope="module")
def known() -> Baskets:
    return read(walks(USERS, seed=1))


@pytest.fixture(scope="module")
def trained(known: Baskets) -> SequenceNet:
    return trained_on(known)


@pytest.fixture(scope="module")
def online(trained: SequenceNet, known: Baskets) -> OnlineModel:
    return unpacked(online_lists(Followed(trained), known).packed())


@pytest.fixture(scope="module")
def lists(online: OnlineModel) -> VisitLists:
    return ready_lists(online)


def test_a_thousand_users_get_the_nights_lists(lists, trained, known):
    users = np.arange(len(known.users))
    night = sequence_lists(trained, SHAPE, known, users, SIZE)
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
