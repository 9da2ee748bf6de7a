"""The messages that work on a user at each time, the bills meanwhile, and those to expect without a message.

A message works for so many days from the one on which it was sent. A **path** is a time without a day on which none
works (cut after twice as many days), and a **stretch** of it one in which the same messages work. What a user would
have done without them is read off others who were as frequent on the day before the path, and were sent nothing yet:
their bills on the same days, as long as they are sent nothing (S. Athey, G. Imbens, "Identification and inference in
nonlinear difference-in-differences models", Econometrica 74, 2006, section 2, for the comparison of equals over time).
Users who were held out of a campaign by chance are no such others while it works: they are what credits are judged by.

Days are local and counted from 1970. Arrays in, arrays out; no customer, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError

# Of more messages that work at once the newest count.
MOST_TOUCHES = 4
HABIT_DAYS = 91
# Users are alike whose bills in those days lie between the same two of these.
HABITS = np.array([1, 2, 3, 5, 8, 13])
# Those to compare with are so many at most, and what is usual on any day counts as so many of them.
MOST_COMPARED, USUAL_USERS = 5_000, 20.0
# Days in one number with the users'.
SPAN = 1 << 20


@dataclass(frozen=True, slots=True)
class Touches:
    """Messages: of each the number of its user, the day, and of its player, in the order of user and time.

    ``players`` are pairs of a campaign and a channel, sorted. ``users`` are the ids of all with a bill or a message,
    sorted; ``held_user`` and ``held_day`` say who was held out, and when.
    """

    players: list[tuple[str, str]]
    users: np.ndarray
    user: np.ndarray
    day: np.ndarray
    player: np.ndarray
    held_user: np.ndarray
    held_day: np.ndarray


@dataclass(frozen=True, slots=True)
class Stretches:
    """One row per user and time in which the same messages work.

    ``touched``: the players of the messages that work, the newest first, -1 for none: (rows, MOST_TOUCHES).
    ``bills``: how many the user has in it; ``expected``: how many without a message, NaN of users without a bill before
    the path.
    """

    touched: np.ndarray
    bills: np.ndarray
    expected: np.ndarray


def touches_of(
    messages: pd.DataFrame, begins: pd.Series, buyers: pd.Series, zone: str, first: np.datetime64
) -> Touches:
    """The messages from a local day on: ``campaign_id``, ``user_id``, ``channel``, ``sent_at``, ``is_control``.

    One without a time was sent when its campaign began (``begins``, by ``campaign_id``), one without a channel or a
    campaign is of that named "". ``buyers`` are the users with a bill.
    """
    sent_at = pd.to_datetime(messages["sent_at"], utc=True)
    sent_at = sent_at.fillna(pd.to_datetime(messages["campaign_id"].map(begins), utc=True))
    names = {name: messages[name].fillna("").astype(str) for name in ("campaign_id", "channel")}
    rows = messages[["user_id"]].assign(**names, sent_at=sent_at)
    rows["is_control"] = messages["is_control"].astype("boolean").fillna(False).to_numpy(dtype=bool)
    rows = rows.dropna().sort_values(["user_id", "sent_at", "campaign_id", "channel"], kind="stable")
    day = rows["sent_at"].dt.tz_convert(zone).dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    rows, day = rows[day >= first], day[day >= first].astype("int64")
    users = np.unique(np.concatenate([buyers.dropna().to_numpy(dtype=object), rows["user_id"].to_numpy(object)]))
    user = pd.Index(users).get_indexer(pd.Index(rows["user_id"]))
    is_held = rows["is_control"].to_numpy()
    pairs = pd.MultiIndex.from_frame(rows.loc[~is_held, ["campaign_id", "channel"]])
    players = sorted(set(pairs))
    known = pd.MultiIndex.from_tuples(players or [("", "")], names=pairs.names)
    player = known.get_indexer(pairs)
    return Touches(players, users, user[~is_held], day[~is_held], player, user[is_held], day[is_held])


def stretches_of(touches: Touches, bills: pd.DataFrame, today: int, days: int, seed: int) -> Stretches:
    """The stretches of messages that work ``days`` days each, up to ``today``.

    ``bills`` has one row each: ``user_id``, ``day``.

    Raises:
        EvidenceError: there is no message, or no bill.
    """
    if not len(touches.user) or not len(bills):
        raise EvidenceError(
            "What messages bring cannot be seen",
            expected="messages that were sent, and bills",
            came=f"{len(touches.user)} messages, {len(bills)} bills",
            do="send who was addressed and when, by the ids of the users on the bills",
        )
    buyer = pd.Index(touches.users).get_indexer(pd.Index(bills["user_id"]))
    seen = np.sort(buyer[buyer >= 0] * SPAN + bills["day"].to_numpy()[buyer >= 0])
    user, begin, end = _spans(touches, today, days)
    touched = _working(touches, user, begin, days)
    is_some = (touched[:, 0] >= 0) & (end > begin)
    user, begin, end, touched = user[is_some], begin[is_some], end[is_some], touched[is_some]
    path = _path_starts(user, begin, end, 2 * days)
    counted = np.searchsorted(seen, user * SPAN + end) - np.searchsorted(seen, user * SPAN + begin)
    habit = _habits(seen, user, path)
    compared = _Compared.of(touches, seen, today, days, seed)
    return Stretches(touched, counted.astype(float), compared.expected(habit, path, begin, end))


def _spans(touches: Touches, today: int, days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The times between two days on which a message of a user begins to work or ceases to: user, begin, end."""
    starts = touches.user * SPAN + touches.day
    edges = np.unique(np.concatenate([starts, starts + days]))
    user, day = np.divmod(edges, SPAN)
    same = user[1:] == user[:-1]
    return user[:-1][same], day[:-1][same], np.minimum(day[1:][same], today + 1)


def _working(touches: Touches, user: np.ndarray, begin: np.ndarray, days: int) -> np.ndarray:
    """The players of the messages that work on the first day of each span, the newest first."""
    newest = np.searchsorted(touches.user * SPAN + touches.day, user * SPAN + begin, side="right") - 1
    rows = newest[:, None] - np.arange(MOST_TOUCHES)
    some = np.maximum(rows, 0)
    works = (rows >= 0) & (touches.user[some] == user[:, None]) & (touches.day[some] > begin[:, None] - days)
    return np.where(works, touches.player[some], -1)


def _path_starts(user: np.ndarray, begin: np.ndarray, end: np.ndarray, most_days: int) -> np.ndarray:
    """The first day of the path that each stretch belongs to."""

    def first_of(is_first: np.ndarray) -> np.ndarray:
        place = np.maximum.accumulate(np.where(is_first, np.arange(len(user)), 0))
        return np.asarray(begin[place]) if len(user) else begin

    is_new = np.append(True, (user[1:] != user[:-1]) | (begin[1:] > end[:-1]))[: len(user)]
    part = (begin - first_of(is_new)) // most_days
    return first_of(is_new | np.append(True, part[1:] != part[:-1])[: len(user)])


def _habits(seen: np.ndarray, user: np.ndarray, day: np.ndarray) -> np.ndarray:
    """How often users came in the quarter before a day, as a number of a group; -1 where they never came before."""
    now = np.searchsorted(seen, user * SPAN + day)
    lately = now - np.searchsorted(seen, user * SPAN + day - HABIT_DAYS)
    ever = now - np.searchsorted(seen, user * SPAN)
    return np.where(ever > 0, np.searchsorted(HABITS, lately, side="right"), -1)


@dataclass(frozen=True, slots=True)
class _Compared:
    """Users to compare with, by their numbers: how many bills they have on each day, and when they are next written to.

    ``came`` and ``written`` are (users, days) from the day ``first`` on; ``written`` is the place of the first day from
    then on at which a message works, or the user is held out.
    """

    seen: np.ndarray
    user: np.ndarray
    first: int
    observed: np.ndarray
    written: np.ndarray

    @classmethod
    def of(cls, touches: Touches, seen: np.ndarray, today: int, days: int, seed: int) -> _Compared:
        buyers = np.unique(seen // SPAN)
        lots = np.random.default_rng(seed).permutation(len(buyers))[:MOST_COMPARED]
        user, first = np.sort(buyers[lots]), int(touches.day.min())
        width = today + 1 - first
        observed = np.zeros((len(user), width), dtype=np.uint8)
        who, day = np.divmod(seen, SPAN)
        row = _places(user, who)
        inside = (row >= 0) & (day >= first) & (day <= today)
        np.add.at(observed, (row[inside], day[inside] - first), 1)
        is_written = np.zeros((len(user), width), dtype=bool)
        sent = np.concatenate([touches.user, touches.held_user])
        row, day = _places(user, sent), np.concatenate([touches.day, touches.held_day]) - first
        row, day = row[row >= 0], day[row >= 0]
        for later in range(days):
            at = day + later
            is_written[row[(at >= 0) & (at < width)], at[(at >= 0) & (at < width)]] = True
        place = np.where(is_written, np.arange(width), width)
        written = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
        return cls(seen, user, first, observed, written)

    def expected(self, habit: np.ndarray, path: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The bills of each stretch to expect without a message."""
        starts, of = np.unique(path, return_inverse=True)
        longest = np.zeros(len(starts), dtype="int64")
        np.maximum.at(longest, of, end - path)
        sums = [self._sums(int(start), int(days)) for start, days in zip(starts, longest, strict=True)]
        usual = np.zeros((2, len(HABITS) + 1, int(longest.max(initial=0))))
        for one in sums:
            usual[:, :, : one.shape[2]] += one
        rate = usual[0] / np.maximum(usual[1], 1)
        expected = np.full(len(path), np.nan)
        for number, one in enumerate(sums):
            width = one.shape[2]
            daily = (one[0] + USUAL_USERS * rate[:, :width]) / (one[1] + USUAL_USERS)
            total = np.concatenate([np.zeros((len(daily), 1)), np.cumsum(daily, axis=1)], axis=1)
            rows = np.flatnonzero((of == number) & (habit >= 0))
            spans = (total[habit[rows], (at[rows] - path[rows])] for at in (end, begin))
            last, before = spans
            expected[rows] = last - before
        return expected

    def _sums(self, start: int, days: int) -> np.ndarray:
        """Bills, and users who may still be compared with, of each habit and day from ``start`` on."""
        place = start - self.first
        habit = _habits(self.seen, self.user, np.full(len(self.user), start))
        rows = np.flatnonzero((habit >= 0) & (self.written[:, place] > place))
        rows = rows[np.argsort(habit[rows], kind="stable")]
        sums = np.zeros((2, len(HABITS) + 1, days))
        if len(rows):
            groups, edges = np.unique(habit[rows], return_index=True)
            is_free = np.arange(place, place + days)[None] < self.written[rows, place][:, None]
            observed = self.observed[rows, place : place + days] * is_free
            sums[:, groups] = [np.add.reduceat(of, edges, axis=0, dtype=np.int32) for of in (observed, is_free)]
        return sums


def _places(users: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The places of numbers among sorted ones; -1 where they are not among them."""
    place = np.minimum(np.searchsorted(users, of), max(len(users) - 1, 0))
    return np.where(users[place] == of, place, -1) if len(users) else np.full(len(of), -1)
