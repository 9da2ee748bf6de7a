"""Who was written to, who was held out, and how their rate of buying changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY, Clock, Effects, moments
from capflow_assets.simulation.people import AGE_BANDS, INCOME_BANDS, Shoppers
from capflow_assets.simulation.streams import stream

# How strongly a trait answers a campaign: the young most, the oldest not at all, the well-off half as much.
AGE_RESPONSE = np.array([1.5, 1.0, 0.5, 0.0])
INCOME_RESPONSE = np.array([1.25, 1.0, 0.5])
# Where the rare buyers answer instead: those who buy more rarely than half of all, by this much; the others not at all.
RARE_RESPONSE = 2.0
CHANNELS = np.array(["email", "push", "sms"], dtype=object)
# Or how each age band answers a message on each channel, and each income band one without and with a coupon: the young
# come by push and the middle-aged by email; the oldest stay away when written to. The well-off mind coupons.
CHANNEL_ANSWERS = np.array([[0.0, 2.0, 0.5], [1.5, 0.5, 0.0], [0.0, 0.0, 1.5], [-0.3, -0.3, -0.3]])
OFFER_ANSWERS = np.array([[0.5, 1.5], [1.0, 1.0], [1.5, 0.5]])
COUPONS_A_CAMPAIGN = 3
SENT_AT_HOUR = 9
OPENED_SHARE = 0.35
# Nobody can stay away more than wholly.
LEAST_UPLIFT = -0.9
# How much likelier the channel that a user prefers is opened, where the user opens no other.
OWN_CHANNEL_RISE = 1.5
OPENED_AFTER_MINUTES = 720
CLICKED_SHARE = 0.2


@dataclass(frozen=True)
class Plan:
    """Local minutes in which each campaign ``starts`` and ``ends``; per shopper and campaign, who is ``treated``,
    who is held out as ``control``, and the ``uplift`` of the rate (0 for all who are not treated).
    """

    starts: np.ndarray
    ends: np.ndarray
    treated: np.ndarray
    control: np.ndarray
    uplift: np.ndarray

    def effects(self, clock: Clock) -> Effects:
        """The same on the clock."""
        return Effects(clock.weeks_at(self.starts), clock.weeks_at(self.ends), self.uplift)

    def ids(self) -> np.ndarray:
        """Names of the campaigns, in order."""
        return np.array([f"C{number + 1:03d}" for number in range(len(self.starts))], dtype=object)


def action_uplift(brand: Brand, people: Shoppers) -> np.ndarray:
    """Share by which each shopper's rate rises by a message: (shoppers, channels, without and with a coupon).

    It differs between them where ``campaign_answers`` is ``actions``.
    """
    if brand.campaign_answers != "actions":
        return np.broadcast_to(uplift(brand, people)[:, None, None], (len(people), len(CHANNELS), 2))
    answer = CHANNEL_ANSWERS[people.age][:, :, None] * OFFER_ANSWERS[people.income][:, None, :]
    return np.maximum(brand.campaign_uplift_pct / 100 * answer, LEAST_UPLIFT)


def uplift(brand: Brand, people: Shoppers) -> np.ndarray:
    """Share by which each shopper's rate rises if treated: the brand's uplift times how strongly the shopper answers.

    By ``campaign_answers``: the answers of age and income band, or that of those who buy rarely; of actions their mean.
    """
    if brand.campaign_answers == "actions":
        return action_uplift(brand, people).mean(axis=(1, 2))
    if brand.campaign_answers == "rare":
        answer = RARE_RESPONSE * (people.rate_per_week < np.median(people.rate_per_week))
    else:
        answer = AGE_RESPONSE[people.age] * INCOME_RESPONSE[people.income]
    return brand.campaign_uplift_pct / 100 * answer


def plan(brand: Brand, people: Shoppers) -> Plan:
    """Spread the campaigns evenly over the history; reach and hold out by lot among the known users of that day."""
    at_once = 2 if brand.campaign_pairs else 1
    times = -(-brand.campaigns // at_once)
    gap = brand.days // max(times, 1)
    place = np.arange(brand.campaigns) // at_once
    starts = (place * gap + (gap - brand.campaign_days) // 2) * MINUTES_A_DAY + SENT_AT_HOUR * 60
    shape = (len(people), brand.campaigns)
    lots = stream(brand.seed, "campaign lots").random((*shape, 2))
    known = np.arange(len(people)) < people.known
    here = known[:, None] & (people.joined[:, None] < starts)
    reached = here & (lots[:, :, 0] < brand.campaign_reach_pct / 100)
    if brand.campaign_pairs:
        reached &= _drawn_for(brand, len(people))
    control = reached & (lots[:, :, 1] < brand.control_pct / 100)
    treated = reached & ~control
    effect = treated * _effect(brand, people, reached)
    return Plan(starts, starts + brand.campaign_days * MINUTES_A_DAY, treated, control, effect)


def _drawn_for(brand: Brand, count: int) -> np.ndarray:
    """Which of the two campaigns that begin together each shopper is drawn for: (shoppers, campaigns)."""
    pairs = -(-brand.campaigns // 2)
    second = stream(brand.seed, "campaign pairs").random((count, pairs)) < 0.5
    both = np.stack([~second, second], axis=2).reshape(count, 2 * pairs)[:, : brand.campaigns]
    is_alone = (brand.campaigns % 2 == 1) & (np.arange(brand.campaigns) == brand.campaigns - 1)
    return np.asarray(both | is_alone)


def _effect(brand: Brand, people: Shoppers, reached: np.ndarray) -> np.ndarray:
    """The uplift that each campaign has of each shopper, by the channel that the lot fell on: (shoppers, campaigns)."""
    if brand.campaign_answers != "actions":
        return uplift(brand, people)[:, None]
    campaign, user = np.nonzero(reached.T)
    by_action, offer = action_uplift(brand, people), np.array([_kind(int(number)) == "coupon" for number in campaign])
    effect = np.zeros(reached.shape)
    effect[user, campaign] = by_action[user, _channels(brand, len(user))[1], offer.astype(int)]
    return effect


def _channels(brand: Brand, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn for each message, and the channel among it."""
    draws = stream(brand.seed, "messages").random((count, 4))
    return draws, (draws[:, 3] * len(CHANNELS)).astype(int)


def campaigns(brand: Brand, plan: Plan) -> pd.DataFrame:
    """One row per campaign. Every other one comes with coupons."""
    kinds = [_kind(number) for number in range(brand.campaigns)]
    return pd.DataFrame(
        {
            "campaign_id": plan.ids(),
            "name": [f"{kind} {number + 1}" for number, kind in enumerate(kinds)],
            "kind": kinds,
            "starts_at": moments(brand, plan.starts),
            "ends_at": moments(brand, plan.ends),
        }
    )


def _kind(number: int) -> str:
    return "coupon" if number % 2 == 0 else "news"


def messages(brand: Brand, plan: Plan, user_ids: np.ndarray) -> pd.DataFrame:
    """One row per reached user and campaign; ``sent_at`` of those held out is when the lot fell on them."""
    campaign, user = np.nonzero((plan.treated | plan.control).T)
    control = plan.control[user, campaign]
    draws, channel = _channels(brand, len(user))
    sent = plan.starts[campaign]
    opens = ~control & (draws[:, 0] < open_chances(brand, len(plan.treated))[user, channel])
    waited = (-np.log(1 - draws[:, 1]) * OPENED_AFTER_MINUTES).astype(np.int64)
    opened = np.minimum(sent + 1 + waited, plan.ends[campaign] - 2)
    clicks = opens & (draws[:, 2] < CLICKED_SHARE)
    return pd.DataFrame(
        {
            "campaign_id": plan.ids()[campaign],
            "user_id": user_ids[user],
            "channel": CHANNELS[channel],
            "sent_at": moments(brand, sent),
            "opened_at": moments(brand, opened).where(opens),
            "clicked_at": moments(brand, opened + 1).where(clicks),
            "is_control": control,
        }
    )


def open_chances(brand: Brand, count: int) -> np.ndarray:
    """The chance that each shopper opens a message, by channel: (shoppers, channels).

    ``own_channel_pct`` raises that of the channel that the shopper prefers, drawn evenly, and lowers the others'.
    """
    own = stream(brand.seed, "favourite channels").integers(0, len(CHANNELS), count)
    hold = brand.own_channel_pct / 100 * np.where(np.eye(len(CHANNELS), dtype=bool)[own], OWN_CHANNEL_RISE, -1.0)
    return OPENED_SHARE * (1 + hold)


def coupon_items(brand: Brand, popularity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Campaign and item of every coupon, three to each coupon campaign."""
    owners = [number for number in range(brand.campaigns) if _kind(number) == "coupon"]
    campaign = np.repeat(np.array(owners, dtype=np.int64), COUPONS_A_CAMPAIGN)
    shares = popularity / popularity.sum()
    return campaign, stream(brand.seed, "coupons").choice(len(shares), len(campaign), p=shares)


def coupon_ids(count: int) -> np.ndarray:
    """Names of the coupons, by their number."""
    return np.array([f"K{number + 1:03d}" for number in range(count)], dtype=object)


def true_effects(brand: Brand, plan: Plan, people: Shoppers, user_ids: np.ndarray) -> pd.DataFrame:
    """The effects as they truly are: one row per reached user and campaign, with the uplift that treatment has.

    ``uplift_pct``: what was done to the rate (0 for controls). ``uplift_if_treated_pct``: what it does if one is.
    """
    campaign, user = np.nonzero((plan.treated | plan.control).T)
    return pd.DataFrame(
        {
            "campaign_id": plan.ids()[campaign],
            "user_id": user_ids[user],
            "age_band": AGE_BANDS[people.age[user]],
            "income_band": INCOME_BANDS[people.income[user]],
            "is_control": plan.control[user, campaign],
            "uplift_pct": plan.uplift[user, campaign] * 100,
            "uplift_if_treated_pct": uplift(brand, people)[user] * 100,
        }
    )
