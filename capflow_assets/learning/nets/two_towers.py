"""Two towers: users by what they bought and items by what they are like, as vectors whose product is a liking.

A user is the mean of what the last items bought are like. Both towers begin as one projection, so that the product is
from the start how like an item is to those; what is learned is which likeness counts, and what else.

P. Covington, J. Adams, E. Sargin, "Deep Neural Networks for YouTube Recommendations", RecSys (2016); X. Yi et al.,
"Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys (2019).
"""

from __future__ import annotations

import torch
from torch import nn

# The product of two unit vectors is at most 1: likings must be able to differ more.
SHARPNESS = 8.0


class TwoTowers(nn.Module):
    """Over items of ``numbers`` numbers each; vectors of ``size``."""

    def __init__(self, numbers: int, size: int, dropout: float) -> None:
        super().__init__()
        self.item, self.user = nn.Linear(numbers, size, bias=False), nn.Linear(numbers, size, bias=False)
        nn.init.normal_(self.item.weight, std=size**-0.5)
        self.user.weight.data.copy_(self.item.weight.data)
        first, last = nn.Linear(numbers + 1, 2 * size), nn.Linear(2 * size, size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.deeper = nn.Sequential(first, nn.GELU(), last)
        self.wanted = nn.Linear(numbers, 1, bias=False)
        nn.init.zeros_(self.wanted.weight)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())
        self.dropout = nn.Dropout(dropout)

    def users(self, profiles: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Vectors of users: (users, size) of their mean items (users, numbers) and how many these are (users,)."""
        profiles = self.dropout(profiles)
        known = torch.log1p(counts)[:, None]
        # Of who bought little, little is known: the vector grows with the items.
        grown = counts[:, None] / (counts[:, None] + 1)
        vectors: torch.Tensor = self.user(profiles) * grown + self.deeper(torch.cat([profiles, known], dim=1))
        return vectors * self.sharpness.exp()

    def items(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of items (items, size), and how much everybody wants each (items,)."""
        numbers = self.dropout(numbers)
        return self.item(numbers), self.wanted(numbers)[:, 0]


def next_item_loss(
    net: TwoTowers, profiles: torch.Tensor, counts: torch.Tensor, bought: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the item that each user bought among those ``others``, drawn by lot from all.

    ``profiles`` (rows, numbers) are what users bought before, ``bought`` (rows, numbers) the item that came next.
    """
    users = net.users(profiles, counts)
    own, wanted = net.items(bought)
    drawn, wanted_of_others = net.items(others)
    liked = ((users * own).sum(dim=1) + wanted).float()
    among = (users @ drawn.T + wanted_of_others).float()
    return (torch.logsumexp(torch.cat([liked[:, None], among], dim=1), dim=1) - liked).mean()
