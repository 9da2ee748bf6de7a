"""The time zones that a customer may live in: those that Python and both engines know. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

# What a machine's database of zones has beside real ones, and an old name that Java has given up.
UNKNOWN_TO_ENGINES = {"Factory": "", "localtime": "", "posixrules": "", "ROC": "Asia/Taipei"}
# Other copies of the same database, which only some machines have.
COPIES = ("posix/", "right/", "SystemV/")


@cache
def known_zones() -> frozenset[str]:
    """The names of all zones; to look for them takes as long as to read many customers."""
    from zoneinfo import available_timezones

    zones = available_timezones() - UNKNOWN_TO_ENGINES.keys()
    return frozenset(name for name in zones if not name.startswith(COPIES))


def known_zone(name: str) -> str:
    """The same name, if it is one of a zone.

    >>> known_zone("Europe/London")
    'Europe/London'
    >>> known_zone("europe/london")
    Traceback (most recent call last):
    ...
    ValueError: an IANA time zone such as Europe/London; did you mean 'Europe/London'?
    """
    zones = known_zones()
    if name not in zones:
        alike = [zone for zone in zones if zone.lower() == name.lower()]
        near = UNKNOWN_TO_ENGINES.get(name) or next(iter(alike or get_close_matches(name, zones, n=1)), "")
        hint = f"; did you mean {near!r}?" if near and name not in ("localtime", "Factory", "posixrules") else ""
        raise ValueError(f"an IANA time zone such as Europe/London{hint}")
    return name
