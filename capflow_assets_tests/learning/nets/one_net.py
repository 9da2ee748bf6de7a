"""The smallest net there is, and what it learns: ``y = 2 a - b + 3``, without noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

RANDOM = np.random.default_rng(1)
INPUTS = RANDOM.normal(size=(96, 2)).astype("float32")
OUTPUTS = (INPUTS @ np.array([[2.0], [-1.0]]) + 3).astype("float32")


def batches(random: np.random.Generator, size: int) -> Iterator[tuple[np.ndarray, ...]]:
    order = random.permutation(len(INPUTS))
    for first in range(0, len(order), size):
        yield INPUTS[order[first : first + size]], OUTPUTS[order[first : first + size]]


def loss(net: nn.Module, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(net(inputs), outputs)


def new_net() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Linear(2, 1)


def numbers(net: nn.Linear) -> list[float]:
    return [*net.weight.detach().ravel().tolist(), *net.bias.detach().tolist()]
