"""How likely each user opens a message, by channel: own opens shrunk to those of users alike.

The chance on a channel on which the user opened ``o`` of ``n`` is ``(o + b q) / (n + b)``, the mean of a Beta posterior
whose prior mean ``q`` is by one of two laws. By *openness*: with ``m`` the share of everybody's messages on the channel
that is opened, ``q = min(t m, 1)``, where a user who opened ``o'`` of all messages, of which everybody would have
opened ``e``, is ``t = (o' + a) / (e + a)`` times as open as others. By *kinds*: users are of a few kinds, each with its
chance on each channel, found by expectation maximisation (P. Lazarsfeld & N. Henry, Latent Structure Analysis, 1968),
and ``q`` is the mean of the kinds' chances, weighed by how likely the user is of each: so one who opens nothing but
letters is seen to open no mail. The law, how fast messages fade, ``a`` and ``b`` are those under which what came of
later messages was likeliest. Frames and arrays in, arrays out; no customer, no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from capflow_assets.learning.habits import HALF_LIVES, is_better

if TYPE_CHECKING:
    from datetime import datetime

# How many messages everybody's openness, and the user's on all channels, are worth.
WORTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
# A message is given so many days to be opened in; younger ones say nothing.
SETTLED_DAYS = 3
LEAST = 1e-6
# Rounds of expectation maximisation, and how many messages of everybody's each kind's chances are worth.
ROUNDS = 40
KIND_MESSAGES = 5.0
# Kinds are learned from so many users at most, and recipes chosen by so many pairs of a user and a channel.
MOST_USERS = 20_000
MOST_PAIRS = 50_000
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages that were sent to users long enough ago: who, on which channel (by number), how old, and if opened.

    ``users`` and ``channels`` are ids, sorted.
    """

    users: np.ndarray
    channels: np.ndarray
    user: np.ndarray
    channel: np.ndarray
    age_days: np.ndarray
    is_opened: np.ndarray

    def cells(self, half_life_days: float) -> tuple[np.ndarray, np.ndarray]:
        """How many messages were sent and opened, (users, channels) each; one counts half after a half-life."""
        weight = 0.5 ** (self.age_days / half_life_days) if half_life_days else np.ones(len(self.user))
        shape = len(self.users), len(self.channels)
        cell, size = self.user * shape[1] + self.channel, shape[0] * shape[1]
        sent, opened = (np.bincount(cell, weight * of, size).reshape(shape) for of in (1.0, self.is_opened))
        return sent, opened

    def newest_open(self) -> np.ndarray:
        """Days since the newest message was sent that the user opened, (users, channels); infinity without one."""
        newest = np.full((len(self.users), len(self.channels)), np.inf)
        opened = self.is_opened
        np.minimum.at(newest, (self.user[opened], self.channel[opened]), self.age_days[opened])
        return newest

    def numbers(self, users: pd.Index) -> np.ndarray:
        """The number of each user id; -1 where nothing was sent to it yet."""
        return pd.Index(self.users).get_indexer(users)


def sent_messages(messages: pd.DataFrame, moment: datetime) -> Sent:
    """The messages as a moment knows them: ``user_id``, ``channel``, ``sent_at``, ``opened_at``, ``is_control``.

    What was opened after the moment was not known at it. Rows without a user, a channel or a time are left out, and so
    are those of users who were held out; rows alike are one message.
    """
    now = pd.Timestamp(moment)
    sent_at, opened_at = (pd.to_datetime(messages[name], utc=True) for name in ("sent_at", "opened_at"))
    rows = messages[["user_id", "channel"]].assign(sent_at=sent_at, is_opened=opened_at <= now)
    is_held_out = messages["is_control"].astype("boolean").fillna(False).to_numpy(dtype=bool)
    rows = rows[~is_held_out & (sent_at <= now - pd.Timedelta(days=SETTLED_DAYS))].dropna()
    rows = rows.groupby(["user_id", "channel", "sent_at"], sort=True)[["is_opened"]].max().reset_index()
    user, users = pd.factorize(rows["user_id"], sort=True)
    channel, channels = pd.factorize(rows["channel"], sort=True)
    age = (now - rows["sent_at"]).dt.total_seconds().to_numpy(dtype=float) / DAY_SECONDS
    opened = rows["is_opened"].to_numpy(dtype=bool)
    return Sent(np.asarray(users, object), np.asarray(channels, object), user, channel, age, opened)


@dataclass(frozen=True, slots=True)
class ChannelRecipe:
    """After how many days a message counts half (0: never), and how many messages the priors are worth.

    ``channel`` is the worth of the prior beside what the user does on one channel, ``user`` that of everybody's
    openness beside the user's; 0 where the prior is by kinds.
    """

    half_life_days: float
    user: float
    channel: float

    def describe(self) -> dict[str, Any]:
        """The same as plain values, to be saved."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Openness:
    """Faded messages ``sent`` and ``opened`` by (user, channel), and the share of ``everybody``'s that is opened.

    ``by_kinds`` is the prior by kinds, (users, channels), and ``unknown`` (channels,) that of a user who was sent
    nothing.
    """

    sent: np.ndarray
    opened: np.ndarray
    everybody: np.ndarray
    by_kinds: np.ndarray
    unknown: np.ndarray

    @classmethod
    def of(cls, messages: Sent, half_life_days: float) -> Openness:
        """Of all users, as of the moment of the messages; a channel is worth one message of all channels more."""
        sent, opened = messages.cells(half_life_days)
        overall = (opened.sum() + 1) / (sent.sum() + 2)
        everybody = (opened.sum(axis=0) + overall) / (sent.sum(axis=0) + 1)
        return cls(sent, opened, everybody, *_by_kinds(sent, opened, everybody))

    def chances(self, users: np.ndarray, recipe: ChannelRecipe) -> np.ndarray:
        """The chance that a message is opened, (users, channels); -1 is a user who was sent nothing."""
        is_known = users[:, None] >= 0
        sent, opened = (np.where(is_known, of[users], 0.0) for of in (self.sent, self.opened))
        if recipe.user:
            openness = (opened.sum(axis=1) + recipe.user) / (sent @ self.everybody + recipe.user)
            prior = np.minimum(openness[:, None] * self.everybody, 1.0)
        else:
            prior = np.where(is_known, self.by_kinds[users], self.unknown)
        return np.asarray((opened + recipe.channel * prior) / (sent + recipe.channel))


def _by_kinds(sent: np.ndarray, opened: np.ndarray, everybody: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chance of each user on each channel by the kinds that users are of, and that of a user of whom nothing is
    known. Kinds begin as those who hold to one channel, those who open all, and those who open nothing.
    """
    own = np.eye(len(everybody))
    kinds = np.clip(np.vstack([0.1 * everybody + 0.8 * own, everybody + 0.3, 0.1 * everybody]), 0.01, 0.99)
    shares, some = np.full(len(kinds), 1 / len(kinds)), slice(None, None, -(-len(sent) // MOST_USERS) or 1)
    for _ in range(ROUNDS):
        member = _members(sent[some], opened[some], kinds, shares)
        shares = (member.sum(axis=0) + 1) / (len(member) + len(kinds))
        kinds = (member.T @ opened[some] + KIND_MESSAGES * everybody) / (member.T @ sent[some] + KIND_MESSAGES)
        kinds = kinds.clip(LEAST, 1 - LEAST)
    return _members(sent, opened, kinds, shares) @ kinds, shares @ kinds


def _members(sent: np.ndarray, opened: np.ndarray, kinds: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """How likely each user is of each kind, (users, kinds)."""
    weight = opened @ np.log(kinds.T) + (sent - opened) @ np.log1p(-kinds.T) + np.log(shares)
    member = np.exp(weight - weight.max(axis=1, keepdims=True))
    return np.asarray(member / member.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Later:
    """What came of the messages after a moment: the number of the user (-1: none before) and of the channel, how many
    were ``sent`` and how many ``opened``. Channels that nobody was sent to before are left out.
    """

    before: Sent
    user: np.ndarray
    channel: np.ndarray
    sent: np.ndarray
    opened: np.ndarray

    def thinned(self) -> Later:
        """An even draw of the pairs of a user and a channel, where they are many."""
        order = np.lexsort((self.channel, self.user))[:: -(-len(self.user) // MOST_PAIRS) or 1]
        return Later(self.before, *(of[order] for of in (self.user, self.channel, self.sent, self.opened)))


def best_recipe(pasts: Sequence[Later]) -> tuple[ChannelRecipe, float]:
    """The recipe under which what came of later messages was likeliest, and the mean log-likelihood of a message."""
    best: tuple[ChannelRecipe, float] | None = None
    pasts = [past.thinned() for past in pasts]
    for half_life in HALF_LIVES:
        parts = [(past, Openness.of(past.before, half_life)) for past in pasts]
        for user, channel in product((0.0, *WORTHS), WORTHS):
            recipe = ChannelRecipe(half_life, user, channel)
            value = _mean_log_likelihood(parts, recipe)
            if is_better(value, None if best is None else best[1]):
                best = recipe, value
    assert best is not None  # noqa: S101  (half-lives are tried)
    return best


def _mean_log_likelihood(parts: Sequence[tuple[Later, Openness]], recipe: ChannelRecipe) -> float:
    total, messages = 0.0, 0.0
    for past, openness in parts:
        users, row = np.unique(past.user, return_inverse=True)
        chance = openness.chances(users, recipe)[row, past.channel].clip(LEAST, 1 - LEAST)
        total += float(past.opened @ np.log(chance) + (past.sent - past.opened) @ np.log1p(-chance))
        messages += float(past.sent.sum())
    return total / messages


def reasons(sent: np.ndarray, opened: np.ndarray, newest: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Why a channel stands where it does, in words: rows of unfaded counts, days since the newest opened, and shares.

    >>> rows = np.array([[3, 1, 12.4, 0.2], [2, 0, np.inf, 0.2], [0, 0, np.inf, 0.35]]).T
    >>> print(*reasons(*rows), sep="\\n")
    opened 1 of 3 messages, the last sent 12 days ago
    opened none of 2 messages
    no message yet; of all messages by it 35% are opened
    """
    days = np.where(np.isfinite(newest), newest, -1).astype("int64")
    figures = np.stack([sent.astype("int64"), opened.astype("int64"), days, np.rint(everybody * 100).astype("int64")])
    # Few of the figures differ, so that each text is written once.
    distinct, place = np.unique(figures, axis=1, return_inverse=True)
    texts = np.array([_words(*map(int, column)) for column in distinct.T], dtype=object)
    return texts[place.ravel()] if len(texts) else texts


def _words(sent: int, opened: int, days: int, everybody_pct: int) -> str:
    if not sent:
        return f"no message yet; of all messages by it {everybody_pct}% are opened"
    of = f"{sent:,} message{'' if sent == 1 else 's'}"
    if not opened:
        return f"opened none of {of}"
    return f"opened {opened:,} of {of}, the last sent {days:,} day{'' if days == 1 else 's'} ago"
