"""Consent and suppression, per channel and purpose. Unknown is no, and suppression wins. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

GRANTED, DENIED, SUPPRESSED = "granted", "denied", "suppressed"
COLUMNS = ("user_id", "status", "channel", "purpose", "captured_at", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class Consents:
    """Who consents to one channel and purpose now, and who is suppressed; others have said nothing that counts."""

    granted: pa.Array
    suppressed: pa.Array

    def has_consent(self, users: pa.Array) -> np.ndarray:
        """Whether each user consents."""
        return _is_in(users, self.granted)

    def is_suppressed(self, users: pa.Array) -> np.ndarray:
        """Whether each user is suppressed."""
        return _is_in(users, self.suppressed)


def consents_of(rows: pa.Table, channel: str, purpose: str, now: datetime) -> Consents:
    """What the rows of ``raw/consents`` say of one channel and purpose at a moment.

    A row counts from ``valid_from`` until ``valid_until`` (exclusive). Of those that count the latest by
    ``captured_at`` holds; a grant and a denial of the same time are a denial, and a row without a time is older than
    any with one. A grant is of the channel and the purpose that it names; a denial or a suppression that leaves one
    blank is of all. Words are compared without regard to case and blanks around them; an unknown status is a denial.
    """
    import numpy as np
    import pyarrow as pa

    frame = rows.select(list(COLUMNS))
    status, channels, purposes = (_plain(frame[name]) for name in ("status", "channel", "purpose"))
    users = np.asarray([(user or "").strip() for user in frame["user_id"].to_pylist()], dtype=object)
    starts, ends, times = (_moments(frame[name]) for name in ("valid_from", "valid_until", "captured_at"))
    moment = np.datetime64(_naive(now), "us")
    counts = (np.isnat(starts) | (starts <= moment)) & (np.isnat(ends) | (moment < ends))
    is_grant = (status == GRANTED) & (channels == channel.strip().lower()) & (purposes == purpose.strip().lower())
    is_of_both = np.isin(channels, ("", channel.strip().lower())) & np.isin(purposes, ("", purpose.strip().lower()))
    is_word = counts & (users != "") & (is_grant | ((status != GRANTED) & is_of_both))
    suppressed = users[is_word & (status == SUPPRESSED)]
    # The oldest first, and of one time the denial last, so that the last word of each user holds.
    times = np.where(np.isnat(times), np.datetime64(0, "us") - np.timedelta64(2**62, "us"), times)
    order = np.lexsort((~is_grant, times))
    order = order[is_word[order]]
    last = dict(zip(users[order], is_grant[order], strict=True))
    granted = [user for user, is_granted in last.items() if is_granted]
    return Consents(pa.array(granted, pa.string()), pa.array(list(dict.fromkeys(suppressed)), pa.string()))


def nobody() -> Consents:
    """Where nobody was asked: nobody consents."""
    import pyarrow as pa

    none = pa.array([], pa.string())
    return Consents(none, none)


def _plain(column: pa.ChunkedArray) -> np.ndarray:
    import numpy as np

    return np.asarray([(text or "").strip().lower() for text in column.to_pylist()], dtype=object)


def _moments(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    return column.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")


def _naive(moment: datetime) -> datetime:
    from datetime import UTC

    return moment.astimezone(UTC).replace(tzinfo=None)


def _is_in(users: pa.Array, others: pa.Array) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.is_in(users, value_set=others).to_numpy(zero_copy_only=False)
