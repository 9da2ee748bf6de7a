"""A customer whose champion is a net over visits, with the night's lists and everybody's visits in the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson

from capflow_assets.deployment import Deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.baskets import Baskets
from capflow_assets.learning.online.files import NAME
from capflow_assets.learning.online.histories import histories, packed_visits
from capflow_assets.learning.online.visit_nets import online_lists
from capflow_assets.learning.sequence_lists import SequenceNet, sequence_lists
from capflow_assets.models.sequence_recommendations import BasketSequences, SequenceParams
from capflow_assets.packages import STAGES, deployment
from capflow_assets.serving.histories import HISTORIES
from capflow_assets.stores.answer_store import ANSWERS, BETWEEN_ROWS, AnswerStore
from capflow_assets.stores.saved_estimators import dumps, types_of
from capflow_assets_doubles.fleets import TOML
from capflow_assets_tests.learning.online.walks import SHAPE, SIZE, Followed, read, trained_on, walks

MODEL, CUSTOMER = "sequence_recommendations", "acme"
USERS, SEED = 120, 3


@dataclass(frozen=True)
class NetHome:
    """The home, what the net learned from, and the net."""

    deployment: Deployment
    known: Baskets
    trained: SequenceNet

    def night(self, known: Baskets, users: list[str]) -> list[list[tuple[str, float]]]:
        """The lists of users by torch, as the night makes them of these baskets."""
        lists = sequence_lists(self.trained, SHAPE, known, known.numbers(np.array(users)), SIZE)
        return [
            [(str(known.items[item]), float(score)) for item, score in zip(items, scores, strict=True)]
            for items, scores in zip(lists.items, lists.scores, strict=True)
        ]

    def publish(self, version: int) -> None:
        """The night's lists, by a version, and the visits."""
        users = [str(user) for user in self.known.users]
        facts = {"shape": "list", "per": ["item_id"], "rung": "own", "model_version": version}
        facts |= {"as_of": datetime.now(UTC).isoformat(), "typical": [{"item_id": "i00", "rank": 1, "score": 1.0}]}
        rows = [
            {"item_id": item, "score": score, "rank": rank}
            for ranked in self.night(self.known, users)
            for rank, (item, score) in enumerate(ranked, 1)
        ]
        lines = [
            BETWEEN_ROWS.join(map(orjson.dumps, rows[place : place + SIZE])) for place in range(0, len(rows), SIZE)
        ]
        store = AnswerStore.of(self.deployment.home, CUSTOMER)
        with store.writing():
            store.replace(f"{ANSWERS}{MODEL}", f"by {version}", zip(users, lines, strict=True), facts)
            visits = ((user, packed_visits(visits)) for user, visits in histories(self.known))
            store.replace(HISTORIES, f"by {version}", visits, {"as_of": facts["as_of"]})


def net_home(root: Path) -> NetHome:
    """Version 1 is the champion's net, version 2 the baseline, which has no file for online answers."""
    home = Home.of(root, {}).prepare()
    (home.customers / f"{CUSTOMER}.toml").write_text(TOML.format(name=CUSTOMER))
    opened, known = deployment(home), read(walks(USERS, SEED))
    net = NetHome(opened, known, trained_on(known))
    estimator = BasketSequences(SequenceParams(visits=SHAPE.visits, size=SHAPE.size))
    estimator.items, estimator.weights = net.trained.items.astype(str), net.trained.weights
    content = dumps(estimator, types_of(STAGES.model(MODEL).model))
    report = {"as_of": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "params": {}, "rung": "own"}
    file = {NAME: online_lists(Followed(net.trained), known).packed()}
    opened.registry.register(CUSTOMER, MODEL, content, report, {**file, "reference.json": b"{}"})
    opened.registry.register(CUSTOMER, MODEL, content, report, {"reference.json": b"{}"})
    opened.registry.promote(CUSTOMER, MODEL, 1, "a test")
    net.publish(version=1)
    return net
