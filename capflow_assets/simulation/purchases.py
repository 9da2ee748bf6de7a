"""When everybody buys, and leaves: BG/NBD on each shopper's felt time, without a loop over shoppers or purchases.

With a ``regularity`` k above 1 it is BG/CNBD-k: every k-th point of a process that is k times as fast is a purchase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY, Clock, Effects
from capflow_assets.simulation.people import Shoppers
from capflow_assets.simulation.streams import stream

NEVER = -1


@dataclass(frozen=True)
class Purchases:
    """All purchases in the order of time: the number of the shopper and the local minute.

    ``left``: per shopper, the minute of the purchase after which the shopper left, or ``NEVER``.
    """

    shopper: np.ndarray
    minute: np.ndarray
    left: np.ndarray


def purchases(brand: Brand, people: Shoppers, clock: Clock, plain: Clock, effects: Effects) -> Purchases:
    """Draw the repeat purchases as a Poisson process on felt time, cut it where the shopper leaves, add the first.

    The stretch of time that every world of this brand has is drawn from one stream; what campaigns and a shift add to
    it from another. So a world with a shift repeats the one without, row by row, until the shift.
    """
    joined = clock.weeks_at(people.joined)
    everyone = np.arange(len(people))
    here = effects.felt(np.full(len(people), clock.weeks[-1]), everyone) - joined
    shared = plain.weeks[-1] - plain.weeks_at(people.joined)
    rate = people.rate_per_week * brand.regularity
    first = _points(brand, "purchases", rate, np.zeros(len(people)), shared)
    more = _points(brand, "more purchases", rate, shared, np.maximum(here, shared))
    shopper, since = (np.concatenate(parts) for parts in zip(first, more, strict=True))
    inside = since < here[shopper]
    shopper, since = shopper[inside], since[inside]
    order = np.lexsort((since, shopper))
    is_purchase = (_rank(shopper[order], len(people)) + 1) % brand.regularity == 0
    shopper, since = shopper[order][is_purchase], since[order][is_purchase]
    minute = clock.minutes_at(effects.unfelt(since + joined[shopper], shopper))
    return at_own_hours(brand, people, _cut(people, shopper, minute))


def _points(
    brand: Brand, name: str, rate: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A Poisson process per shopper between two felt times: the count first, then uniform places."""
    counts = stream(brand.seed, f"count of {name}").poisson(rate * (end - start))
    shopper = np.repeat(np.arange(len(rate)), counts)
    places = stream(brand.seed, f"places of {name}").random(len(shopper))
    return shopper, start[shopper] + places * (end - start)[shopper]


def _cut(people: Shoppers, shopper: np.ndarray, minute: np.ndarray) -> Purchases:
    """Keep what each shopper buys before leaving, put the first purchases in front, and order all by time."""
    rank = _rank(shopper, len(people))
    left = np.full(len(people), NEVER)
    last = rank == people.leaves_after[shopper] - 1
    left[shopper[last]] = minute[last]
    kept = rank < people.leaves_after[shopper]
    all_shoppers = np.concatenate([np.arange(len(people)), shopper[kept]])
    all_minutes = np.concatenate([people.joined, minute[kept]])
    order = np.lexsort((all_shoppers, all_minutes))
    return Purchases(all_shoppers[order], all_minutes[order], left)


def _rank(shopper: np.ndarray, people: int) -> np.ndarray:
    """The place of each point among its shopper's, from 0, where shoppers stand together."""
    counts = np.bincount(shopper, minlength=people)
    return np.arange(len(shopper)) - np.repeat(np.cumsum(counts) - counts, counts)


def favourite_hours(brand: Brand, count: int) -> np.ndarray:
    """The local hour of the day that each shopper prefers, drawn by the brand's hours."""
    edges = np.cumsum(np.array(brand.hours) / np.sum(brand.hours))[:-1]
    return np.searchsorted(edges, stream(brand.seed, "favourite hours").random(count), side="right")


def at_own_hours(brand: Brand, people: Shoppers, bought: Purchases) -> Purchases:
    """Move ``own_hours_pct`` of the purchases to the hour that their shopper prefers, on the day on which they are.

    Those of a shopper's first day stay, so that the first purchase stays the first.
    """
    if not brand.own_hours_pct:
        return bought
    day, lots = bought.minute // MINUTES_A_DAY, stream(brand.seed, "own hours").random((len(bought.minute), 2))
    is_later = day > people.joined[bought.shopper] // MINUTES_A_DAY
    is_moved = is_later & (lots[:, 0] < brand.own_hours_pct / 100)
    hour = favourite_hours(brand, len(people))[bought.shopper]
    moved = day * MINUTES_A_DAY + hour * 60 + (lots[:, 1] * 60).astype(np.int64)
    minute = np.where(is_moved, moved, bought.minute)
    left, is_last = bought.left.copy(), bought.minute == bought.left[bought.shopper]
    left[bought.shopper[is_last]] = minute[is_last]
    order = np.lexsort((bought.shopper, minute))
    return Purchases(bought.shopper[order], minute[order], left)
