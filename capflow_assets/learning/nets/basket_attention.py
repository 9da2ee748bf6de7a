"""Self-attention over ordered baskets: what comes after the newest of them (SASRec, a basket in the place of an item).

A basket is the mean of the vectors of its items, its place counts back from the newest. The state after a basket has
seen that basket and those before it. An item's score is the product of state and vector, plus how popular it is, plus
how often and how lately the user bought it: nets find tastes, and are poor at counting.

W.-C. Kang, J. McAuley, "Self-Attentive Sequential Recommendation", ICDM (2018); H. Hu, X. He, "Sets2Sets", KDD (2019)
for sets and the share of repeated purchases.
"""

from __future__ import annotations

import torch
from torch import nn

# How much of a purchase is left one visit later: of what is bought again at once, and of what is bought for ever.
FADES = (0.7, 0.97)
# What is popular and what is a habit is known from the start; tastes are learned, from little noise.
NOISE = 0.1
# Where the weights of log(1 + what is left) begin: a habit outweighs what is popular.
REPEATS = (0.1, 0.2)
# They are few and far from where they end, and move so many times faster than the others.
FASTER = 10.0


class Block(nn.Module):
    """Attention of some heads, then a layer of its own for each place; both beside a way around them."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.chance = heads, dropout
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.projections, self.joined = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.wide = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """The next state of (rows, visits, size); ``seen`` (rows, 1, visits, visits) is what each place looks at."""
        rows, visits, size = state.shape
        parts = self.projections(self.before(state)).view(rows, visits, 3, self.heads, size // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        chance = self.chance if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=chance)
        state = state + self.dropout(self.joined(attended.transpose(1, 2).reshape(rows, visits, size)))
        widened: torch.Tensor = self.wide(self.between(state))
        return state + self.dropout(widened)


class BasketAttention(nn.Module):
    """A net over rows of the last ``visits`` baskets of a user, each of some items of an assortment.

    Items are numbered from 1; 0 is no item. Rows are filled up in front, so that the newest basket stands last.
    """

    fading: torch.Tensor
    is_past: torch.Tensor

    def __init__(self, items: int, visits: int, size: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.items = items
        self.vectors = nn.Embedding(items + 1, size, padding_idx=0)
        self.places = nn.Embedding(visits, size)
        nn.init.normal_(self.vectors.weight, std=NOISE * size**-0.5)
        nn.init.normal_(self.places.weight, std=NOISE * size**-0.5)
        self.popular = nn.Parameter(torch.zeros(items + 1))
        self.repeats = nn.Parameter(torch.tensor(REPEATS))
        self.blocks = nn.ModuleList(Block(size, heads, dropout) for _ in range(blocks))
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(dropout)
        ages = torch.arange(visits)[:, None] - torch.arange(visits)[None, :]
        fading = [torch.where(ages >= 0, fade ** ages.clamp(min=0).float(), 0.0) for fade in FADES]
        self.register_buffer("fading", torch.stack(fading), persistent=False)
        self.register_buffer("is_past", ages >= 0, persistent=False)

    def states(self, baskets: torch.Tensor) -> torch.Tensor:
        """The state after each basket: (rows, visits, size) of (rows, visits, width) numbers of items."""
        counts = (baskets > 0).sum(dim=2, keepdim=True)
        vectors = nn.functional.embedding(baskets, self.vectors.weight) * (baskets > 0)[..., None]
        state = self.dropout(vectors.sum(dim=2) / counts.clamp(min=1) + self.places.weight)
        # A place without a basket looks at itself, so that nobody looks at nothing.
        diagonal = torch.eye(baskets.shape[1], dtype=torch.bool, device=baskets.device)
        seen = (self.is_past & (counts > 0).transpose(1, 2)) | diagonal
        for block in self.blocks:
            state = block(state, seen[:, None])
        normed: torch.Tensor = self.norm(state)
        return normed

    def forward(self, baskets: torch.Tensor) -> torch.Tensor:
        """The scores of all items after the newest basket: (rows, items)."""
        rows, visits, width = baskets.shape
        state = self.states(baskets)[:, -1]
        scores = state @ self.vectors.weight[1:].T + self.popular[1:]
        for fade, weight in zip(self.fading[:, -1], self.repeats * FASTER, strict=True):
            left = fade[None, :, None].expand(rows, visits, width).reshape(rows, -1)
            bought = torch.zeros(rows, self.items + 1, device=baskets.device)
            bought = bought.scatter_add(1, baskets.reshape(rows, -1), left)
            scores = scores + weight * torch.log1p(bought[:, 1:])
        return scores

    def own_scores(self, states: torch.Tensor, own: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """Of each row and visit, the scores of the row's ``own`` items: (rows, visits, own).

        ``slots`` (rows, visits, width) are the places in ``own`` (rows, own) of what was bought on each visit; one that
        is beyond the last place is nothing.
        """
        rows, visits, _ = slots.shape
        count = own.shape[1]
        flags = torch.zeros(rows, visits, count + 1, device=own.device).scatter_(2, slots, 1.0)[:, :, :count]
        scores = states @ self.vectors(own).transpose(1, 2) + self.popular[own][:, None]
        for fading, weight in zip(self.fading, self.repeats * FASTER, strict=True):
            scores = scores + weight * torch.log1p(fading @ flags)
        return scores


def next_basket_loss(
    net: BasketAttention,
    baskets: torch.Tensor,
    own: torch.Tensor,
    slots: torch.Tensor,
    following: torch.Tensor,
    others: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of the items of each following basket among all items, of which some stand for the others.

    ``own`` (rows, own) are the distinct items of each row, 0 beyond them; ``slots`` and ``following`` (rows, visits,
    width) are the places there of the items of each basket and of the one after it, beyond the last place for none.
    They are looked at for certain. Of all others those in ``others`` (numbers), drawn by lot, stand for as many as
    they were drawn from, so that the sum over all items is estimated without a bias (sampled softmax, in strata).
    """
    states = net.states(baskets)
    own_scores = net.own_scores(states, own, slots).float()
    certain = own_scores.masked_fill((own == 0)[:, None], -torch.inf)
    drawn = (states @ net.vectors(others).T + net.popular[others]).float()
    is_own = (others[None, :, None] == own[:, None, :]).any(dim=2)
    kept = (~is_own).sum(dim=1)
    stands_for = torch.log((net.items - (own > 0).sum(dim=1)).clamp(min=1) / kept.clamp(min=1))
    drawn = (drawn + stands_for[:, None, None]).masked_fill(is_own[:, None], -torch.inf)
    total = torch.logsumexp(torch.cat([certain, drawn], dim=2), dim=2, keepdim=True)
    is_item = following < own.shape[1]
    logs = own_scores.gather(2, following.clamp(max=own.shape[1] - 1)) - total
    counts = is_item.sum(dim=2)
    of_baskets = -(logs * is_item).sum(dim=2) / counts.clamp(min=1)
    return of_baskets.sum() / (counts > 0).sum().clamp(min=1)
