"""Who is on the list: newsletters, consents, and who has enough of them.

Besides the campaigns each known user gets newsletters, at a rate of the user's own, and opens them with a chance of the
user's own. Who is written to often and opens little opts out. Newsletters end with that. Campaigns go on: their tool
knows of no consents, so buying is the same in a world in which people opt out.

The draws are its own: without newsletters and opt-outs the world is the same, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.campaigns import CHANNELS, CLICKED_SHARE, OPENED_AFTER_MINUTES, SENT_AT_HOUR
from capflow_assets.simulation.clock import MINUTES_A_DAY, local_minutes, moments
from capflow_assets.simulation.people import Shoppers
from capflow_assets.simulation.streams import stream

# Newsletters belong to no campaign of the list.
NEWSLETTER, NEWSLETTER_CHANNEL = "newsletter", "email"
A_WEEK = 7 * MINUTES_A_DAY
SENT_WITHIN_HOURS = 10
# Mean openings of 0.4, from users who open nearly none to users who open nearly all.
INTEREST = (1.2, 1.8)
MOST_A_WEEK = 7
# The weeks over which messages weary.
WEARY_WEEKS = 13
PURPOSE = "marketing"
CONSENTS = ("user_id", "status", "channel", "purpose", "captured_at", "captured_by")


@dataclass(frozen=True)
class MailingList:
    """The messages with the newsletters, the consents, and the truth about the readers.

    ``readers``: one row per known user: newsletters_a_week, interest (the chance to open one), opted_out_at (null for
    those who stay). Empty where the brand has neither newsletters nor opt-outs, as ``consents`` is without opt-outs.
    """

    messages: pd.DataFrame
    consents: pd.DataFrame
    readers: pd.DataFrame


def mailing_list(brand: Brand, people: Shoppers, messages: pd.DataFrame, user_ids: np.ndarray) -> MailingList:
    """The list of a brand whose campaigns sent these messages; ``user_ids`` name the known users.

    In a week a user with ``c`` messages a week over the thirteen weeks before, who ignored the share ``i`` of them,
    opts out with the hazard ``4 i² c opt_out_pct / 100``.
    """
    if not (brand.newsletters_a_week or brand.opt_out_pct):
        return MailingList(messages, _consents(brand, people, user_ids[:0], np.zeros(0)), pd.DataFrame())
    rate = brand.newsletters_a_week * stream(brand.seed, "newsletter rates").gamma(2.0, 0.5, people.known)
    interest = stream(brand.seed, "interests").beta(*INTEREST, people.known)
    letters = _letters(brand, people, rate, interest)
    counts, opens = _by_week(brand, people, messages, user_ids, letters)
    gone = _opt_outs(brand, people, counts, opens)
    read = letters[letters["minute"] < gone[letters["user"]]]
    both = messages
    if len(read):
        both = pd.concat([messages, _sent(brand, read, user_ids)])
        both = both.sort_values("sent_at", kind="stable", ignore_index=True)
    left = pd.Series(moments(brand, np.minimum(gone, brand.days * MINUTES_A_DAY).astype(np.int64)))
    columns = {"user_id": user_ids, "newsletters_a_week": rate, "interest": interest}
    readers = pd.DataFrame(columns).assign(opted_out_at=left.where(np.isfinite(gone)))
    consents = _consents(brand, people, user_ids if brand.opt_out_pct else user_ids[:0], gone)
    return MailingList(both, consents, readers)


def _weeks(brand: Brand) -> int:
    return brand.days // 7


def _letters(brand: Brand, people: Shoppers, rate: np.ndarray, interest: np.ndarray) -> pd.DataFrame:
    """Every newsletter that goes out as long as nobody opts out: user, week, minute, and whether it is opened."""
    draws = stream(brand.seed, "newsletters")
    counts = np.minimum(draws.poisson(rate, (_weeks(brand), people.known)), MOST_A_WEEK)
    week, user = (np.repeat(places, counts.ravel()) for places in np.divmod(np.arange(counts.size), people.known))
    lots = draws.random((len(week), 5))
    within_day = SENT_AT_HOUR * 60 + (lots[:, 1] * SENT_WITHIN_HOURS * 60).astype(np.int64)
    minute = week * A_WEEK + (lots[:, 0] * 7).astype(np.int64) * MINUTES_A_DAY + within_day
    letters = pd.DataFrame({"user": user, "week": week, "minute": minute, "is_opened": lots[:, 2] < interest[user]})
    letters["wait"] = (-np.log(1 - lots[:, 3]) * OPENED_AFTER_MINUTES).astype(np.int64)
    letters["is_clicked"] = letters["is_opened"] & (lots[:, 4] < CLICKED_SHARE)
    is_here = letters["minute"].to_numpy() > people.joined[user]
    return letters[is_here].drop_duplicates(["user", "minute"])


def _by_week(
    brand: Brand, people: Shoppers, messages: pd.DataFrame, user_ids: np.ndarray, letters: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Messages of each week and user, and how many of them are opened: (weeks, users)."""
    sent = messages[~messages["is_control"].to_numpy(dtype=bool)]
    week = local_minutes(brand, pd.DatetimeIndex(sent["sent_at"])).astype(np.int64) // A_WEEK
    user = pd.Index(user_ids).get_indexer(pd.Index(sent["user_id"]))
    weeks, users = np.concatenate([week, letters["week"]]), np.concatenate([user, letters["user"]])
    is_opened = np.concatenate([sent["opened_at"].notna(), letters["is_opened"]])
    shape = (_weeks(brand) + 1, people.known)
    cell = weeks * people.known + users
    counts, opens = (np.bincount(cell, of, shape[0] * shape[1]) for of in (np.ones(len(cell)), is_opened))
    return counts.reshape(shape), opens.reshape(shape)


def _opt_outs(brand: Brand, people: Shoppers, counts: np.ndarray, opens: np.ndarray) -> np.ndarray:
    """The minute in which each user opts out; infinity for those who stay."""
    gone = np.full(people.known, np.inf)
    lots = stream(brand.seed, "opt-outs").random((_weeks(brand), 2, people.known))
    for week in range(1, _weeks(brand)):
        lately = slice(max(0, week - WEARY_WEEKS), week)
        written = counts[lately].sum(axis=0)
        ignored = 1 - opens[lately].sum(axis=0) / np.maximum(written, 1)
        hazard = 4 * ignored**2 * written / WEARY_WEEKS * brand.opt_out_pct / 100
        leaves = np.isinf(gone) & (lots[week, 0] < -np.expm1(-hazard))
        gone[leaves] = week * A_WEEK + np.floor(lots[week, 1, leaves] * A_WEEK)
    return gone


def _sent(brand: Brand, letters: pd.DataFrame, user_ids: np.ndarray) -> pd.DataFrame:
    """Newsletters in the columns of messages. What is opened after the history's end is not opened in it."""
    end = brand.days * MINUTES_A_DAY
    minute = letters["minute"].to_numpy()
    opened = minute + 1 + letters["wait"].to_numpy()
    is_opened = letters["is_opened"].to_numpy() & (opened < end - 1)
    return pd.DataFrame(
        {
            "campaign_id": NEWSLETTER,
            "user_id": user_ids[letters["user"]],
            "channel": NEWSLETTER_CHANNEL,
            "sent_at": moments(brand, minute),
            "opened_at": pd.Series(moments(brand, opened)).where(is_opened),
            "clicked_at": pd.Series(moments(brand, opened + 1)).where(is_opened & letters["is_clicked"].to_numpy()),
            "is_control": False,
        }
    )


def _consents(brand: Brand, people: Shoppers, user_ids: np.ndarray, gone: np.ndarray) -> pd.DataFrame:
    """A grant of each channel as a user joins, and a denial of all of them as the user opts out."""
    count = len(user_ids)
    joined, left = moments(brand, people.joined[:count]), np.isfinite(gone[:count])
    granted = [
        pd.DataFrame({"user_id": user_ids, "status": "granted", "channel": channel, "captured_at": joined})
        for channel in CHANNELS
    ]
    minutes = gone[:count][left].astype(np.int64)
    denied = pd.DataFrame({"user_id": user_ids[left], "status": "denied", "captured_at": moments(brand, minutes)})
    rows = pd.concat([*granted, denied.assign(channel=None)], ignore_index=True)
    rows = rows.assign(purpose=PURPOSE, captured_by=np.where(rows["status"] == "granted", "till", "link"))
    return rows.sort_values(["captured_at", "user_id"], kind="stable", ignore_index=True)[list(CONSENTS)]
