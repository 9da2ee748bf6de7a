"""What may be done with a user: nothing, or a message on a channel, with or without a coupon.

An action is a number, so that an outcome can hold it; the numbers never change. Of a channel that is in none of these
words, or of which nothing is said, the channel is ``other``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CHANNELS = ("email", "push", "sms", "mail", "other")
# The words of customers that mean one of them.
SYNONYMS = {
    "e-mail": "email",
    "mailing": "email",
    "newsletter": "email",
    "app": "push",
    "notification": "push",
    "text": "sms",
    "mms": "sms",
    "post": "mail",
    "letter": "mail",
    "direct mail": "mail",
    "direct_mail": "mail",
}
NOTHING = 0
COUNT = 1 + 2 * len(CHANNELS)


def code(channel: str, has_coupon: bool) -> int:
    """The number of an action.

    >>> code("email", False), code("email", True), code("other", True)
    (1, 2, 10)
    """
    return 1 + 2 * CHANNELS.index(channel) + int(has_coupon)


def channel_of(action: int) -> str:
    """The channel of an action; empty for nothing."""
    return CHANNELS[(action - 1) // 2] if action else ""


def has_coupon(action: int) -> bool:
    """Whether a coupon comes with it."""
    return action > 0 and action % 2 == 0


def name_of(action: int) -> str:
    """The action in words.

    >>> [name_of(action) for action in (0, 1, 2, 9)]
    ['nothing', 'email', 'email with coupon', 'other']
    """
    return channel_of(action) + (" with coupon" if has_coupon(action) else "") if action else "nothing"


def words_of_channels() -> Mapping[str, str]:
    """Every word of customers that means a channel, with the channel."""
    return {**{name: name for name in CHANNELS}, **SYNONYMS}


def in_mask(actions: Iterable[int]) -> int:
    """A set of actions as one number.

    >>> in_mask([0, 2]), in_mask([])
    (5, 0)
    """
    return sum(1 << action for action in set(actions))
