"""From a trained net over ordered baskets to its file for online lists, tried on users before it is kept.

Its ONNX must rank as torch does in the night: at each place of a list the score is within ``TOLERANCE`` of the night's,
as a share of it above 1. Both reckon with 32 bits, whose sums differ in their last digits by the order of adding up.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from capflow_assets.learning.basket_sequences import WIDTH
from capflow_assets.learning.baskets import Baskets
from capflow_assets.learning.online.by_code import CODE
from capflow_assets.learning.online.files import OnlineModel
from capflow_assets.learning.online.histories import KEPT_VISITS, histories
from capflow_assets.learning.online.visit_lists import INPUT, OUTPUT, VISITS, VisitLists, ready_lists
from capflow_assets.learning.sequence_lists import FOLLOWS, SequenceNet, Shape, sequence_lists

TOLERANCE = 1e-5
TRIAL_USERS = 1_000


@runtime_checkable
class FollowsVisits(Protocol):
    """An estimator whose lists follow from a user's last visits alone, by a net over them."""

    def visit_net(self) -> tuple[SequenceNet, Shape, int]:
        """The trained net, how large it is, and how many items a list has."""


def online_lists(estimator: FollowsVisits, known: Baskets) -> OnlineModel:
    """A fitted estimator as a file; ``known`` are baskets of users that its lists are tried on."""
    trained, shape, size = estimator.visit_net()
    if shape.visits > KEPT_VISITS:
        why = f"it looks back on {shape.visits} visits, and the store keeps {KEPT_VISITS}"
        return OnlineModel({"kind": CODE, "why": why})
    items = [str(item) for item in trained.items]
    recipe = {"visits": shape.visits, "width": WIDTH, "size": size, "reasons": FOLLOWS, "items": items}
    online = OnlineModel({"kind": VISITS, **recipe}, (_graph(trained, shape),))
    gap = largest_gap(ready_lists(online), trained, shape, known)
    if gap <= TOLERANCE:
        return online
    return OnlineModel({"kind": CODE, "why": f"its ONNX is {gap:.1e} from it, further than {TOLERANCE:g}"})


def largest_gap(
    online: VisitLists, trained: SequenceNet, shape: Shape, known: Baskets, users: int = TRIAL_USERS, seed: int = 0
) -> float:
    """How far scores of both are apart at most, place by place of the lists of so many users drawn by the seed.

    Infinite where a list of the one has places that the other's lacks. Of scores above 1 it is a share.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(known.users))[:users])
    wanted = {str(known.users[number]) for number in chosen}
    own = [visits for user, visits in histories(known) if user in wanted]
    night = sequence_lists(trained, shape, known, chosen, online.size)
    size, gap = min(online.size, len(online.items)), 0.0
    for ranked, scores, has_past in zip(online.lists(own), night.scores, night.scored > 0, strict=True):
        if bool(ranked) != bool(has_past) or len(ranked) not in (0, size):
            return float("inf")
        if ranked:
            expected = scores[:size].astype(float)
            apart = np.abs(np.array([score for _, score in ranked]) - expected)
            gap = max(gap, float((apart / np.maximum(1.0, np.abs(expected))).max()))
    return gap


def _graph(trained: SequenceNet, shape: Shape) -> bytes:
    import torch

    from capflow_assets.learning.nets.devices import repeatable
    from capflow_assets.learning.nets.onnx_files import onnx_of
    from capflow_assets.learning.nets.weights import with_weights

    net = with_weights(shape.net(len(trained.items)), trained.weights)
    with repeatable(1):
        return onnx_of(net, (torch.zeros((2, shape.visits, WIDTH), dtype=torch.long),), (INPUT,), OUTPUT)
