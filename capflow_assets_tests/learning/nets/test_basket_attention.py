"""What the net over baskets sees, what its loss is, and that its weights and its ONNX file answer as it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.basket_sequences import distinct
from capflow_assets.learning.nets.basket_attention import BasketAttention, next_basket_loss
from capflow_assets.learning.nets.onnx_files import onnx_of
from capflow_assets.learning.nets.weights import weights_of, with_weights

# Two users with three visits of up to two items out of six; the second one came twice only.
BASKETS = torch.tensor([[[1, 2], [3, 0], [2, 6]], [[0, 0], [4, 0], [4, 5]]])


def net(seed: int = 0, size: int = 8) -> BasketAttention:
    torch.manual_seed(seed)
    return BasketAttention(items=6, visits=3, size=size, blocks=2, heads=2, dropout=0.1).eval()


def test_a_state_knows_nothing_of_later_baskets() -> None:
    later = BASKETS.clone()
    later[:, 2] = torch.tensor([[5, 1], [1, 2]])
    one, other = net().states(BASKETS), net().states(later)
    assert torch.equal(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2], other[:, 2])


def test_the_order_of_baskets_matters_and_the_order_within_one_does_not() -> None:
    within, between = BASKETS.flip(2), BASKETS[:, [1, 0, 2]]
    assert torch.allclose(net()(BASKETS), net()(within), atol=1e-6)
    assert not torch.allclose(net()(BASKETS)[0], net()(between)[0], atol=1e-4)


def test_what_is_no_visit_is_not_looked_at() -> None:
    fewer = net()
    fewer.vectors.weight.data[0] = 100.0  # the vector of no item
    assert torch.equal(fewer(BASKETS), net()(BASKETS))


def test_the_loss_is_the_cross_entropy_over_all_items() -> None:
    rows = np.concatenate([BASKETS.numpy(), np.array([[[5, 0]], [[1, 4]]])], axis=1)
    own, slots = distinct(rows)
    following = np.where((rows[:, :-1] > 0).any(axis=2, keepdims=True), slots[:, 1:], own.shape[1])
    arrays = (own, slots[:, :-1], following, np.arange(1, 7))
    value = next_basket_loss(net(), BASKETS, *(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
    losses = []
    for row in rows:
        for visit in range(3):
            if not row[visit].any():
                continue
            # The same past, moved to the end as answers are given, its places left as they are.
            past = torch.zeros(1, 3, 2, dtype=torch.long)
            past[0, : visit + 1] = torch.from_numpy(row[: visit + 1])
            state = net().states(past)[0, visit]
            bought = sum(
                (
                    torch.from_numpy(np.isin(np.arange(1, 7), row[v])).float()
                    * torch.tensor([0.7, 0.97])[:, None] ** (visit - v)
                    for v in range(visit + 1)
                ),
                torch.zeros(2, 6),
            )
            scores = net().vectors.weight[1:] @ state + net().popular[1:]
            scores = scores + torch.tensor([1.0, 2.0]) @ torch.log1p(bought)
            logs = torch.log_softmax(scores, dim=0)
            losses.append(-logs[[item - 1 for item in row[visit + 1] if item]].mean())
    assert value.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_weights_go_to_bytes_and_back() -> None:
    again = with_weights(net(seed=1), weights_of(net(seed=0)))
    assert torch.equal(again(BASKETS), net(seed=0)(BASKETS))


@pytest.mark.parametrize("weights", [b"", b"\x80\x04", weights_of(net())[:-3], weights_of(net(size=4))])
def test_other_weights_are_refused(weights: bytes) -> None:
    with pytest.raises(BrokenModelError, match="The weights of a net cannot be loaded"):
        with_weights(net(), weights)


def test_onnx_answers_as_torch_does_for_any_number_of_rows() -> None:
    from onnxruntime import InferenceSession

    session = InferenceSession(onnx_of(net(), (BASKETS,), ("baskets",), "scores"))
    for rows in (BASKETS[:1], BASKETS.repeat(3, 1, 1)):
        (scores,) = session.run(["scores"], {"baskets": rows.numpy()})
        np.testing.assert_allclose(scores, net()(rows).detach().numpy(), atol=1e-5)
