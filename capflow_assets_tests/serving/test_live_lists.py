"""A net over visits answers with the basket in hand, as torch would in the night; else the night's list stands."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from capflow_assets.learning.online.visit_nets import TOLERANCE
from capflow_assets.serving.requests import answer_request
from capflow_assets.serving.service import Service
from capflow_assets.stores.answer_store import AnswerStore
from capflow_assets_tests.learning.online.walks import SIZE, read, walks
from capflow_assets_tests.serving.one_net import CUSTOMER, MODEL, SEED, USERS, NetHome, net_home

BASKET = ["i07", "i08"]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> NetHome:
    return net_home(tmp_path_factory.mktemp("net"))


@pytest.fixture
def service(net: NetHome) -> Service:
    net.deployment.registry.promote(CUSTOMER, MODEL, 1, "a test")
    net.publish(version=1)
    service = Service(net.deployment)
    service.watch.look()
    service.watch.champions = {f"{CUSTOMER}.{MODEL}": 1}
    return service


def answers_to(service: Service, *instances: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
    request = answer_request({"instances": list(instances), **body})
    return asyncio.run(service.answers(service.served(CUSTOMER, MODEL), request))


def items(answer: dict[str, Any]) -> list[str]:
    return [row["item_id"] for row in answer["items"]]


def test_the_basket_in_hand_is_answered_as_the_night_would_after_that_visit(service, net):
    users = [str(user) for user in net.known.users[:40]]
    answers = answers_to(service, *({"user_id": user, "basket": BASKET} for user in users), reasons=True)
    bought = [(user, item, 99) for user in users for item in BASKET]
    night = net.night(read([*walks(USERS, SEED), *bought]), users)
    for answer, ranked in zip(answers, night, strict=True):
        assert (answer["served_by"], answer["model_version"], answer["engine"]) == ("live", 1, "onnx")
        expected = [(item, score) for item, score in ranked if item not in BASKET]
        scores = [row["score"] for row in answer["items"]][: len(expected)]
        np.testing.assert_allclose(scores, [score for _, score in expected], rtol=TOLERANCE, atol=TOLERANCE)
        assert len(answer["items"]) == SIZE
        assert not set(items(answer)) & set(BASKET)
        assert {row["reasons"] for row in answer["items"]} == {"follows on visits like the user's last"}


def test_without_a_basket_the_nights_list_stands(service, net):
    user = str(net.known.users[0])
    (answer,) = answers_to(service, {"user_id": user}, k=3)
    assert (answer["served_by"], items(answer)) == (
        "precomputed",
        [item for item, _ in net.night(net.known, [user])[0][:3]],
    )


def test_a_champion_that_is_newer_than_the_night_answers_from_the_stored_visits(service, net):
    user = str(net.known.users[0])
    net.publish(version=7)
    (answer,) = answers_to(service, {"user_id": user})
    assert (answer["served_by"], answer["model_version"]) == ("live", 1)
    assert items(answer) == [item for item, _ in net.night(net.known, [user])[0]]


def test_a_basket_of_nobody_or_of_somebody_new_suffices(service, net):
    nobody, stranger = answers_to(
        service, {"basket": BASKET}, {"user_id": "stranger", "basket": BASKET, "exclude": ["i10"]}
    )
    assert nobody["served_by"] == stranger["served_by"] == "live"
    assert items(stranger)[:3] == [item for item in items(nobody) if item != "i10"][:3]
    (unheard,) = answers_to(service, {"basket": ["never sold"]})
    assert unheard["served_by"] == "rule"


def test_a_champion_that_is_no_net_answers_as_of_the_night_and_says_that_it_did_not_look(service, net):
    service.watch.champions = {f"{CUSTOMER}.{MODEL}": 2}
    net.publish(version=2)
    user = str(net.known.users[0])
    (answer,) = answers_to(service, {"user_id": user, "basket": BASKET})
    assert (answer["served_by"], answer["basket_used"]) == ("precomputed", False)


def test_visits_that_cannot_be_read_are_not_taken_for_none(service, net):
    user, store = str(net.known.users[0]), AnswerStore.of(net.deployment.home, CUSTOMER)
    next(store.folder.glob("visits.*.sqlite")).unlink()
    (answer,) = answers_to(service, {"user_id": user, "basket": BASKET})
    assert (answer["served_by"], answer["basket_used"]) == ("precomputed", False)


def test_who_is_forgotten_leaves_no_visits(service, net):
    user, store = str(net.known.users[5]), AnswerStore.of(net.deployment.home, CUSTOMER)
    store.forget([user])
    (answer,) = answers_to(service, {"user_id": user, "basket": BASKET})
    assert items(answer) == items(answers_to(service, {"basket": BASKET})[0])
