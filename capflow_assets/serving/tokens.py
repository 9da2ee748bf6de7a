"""Tokens of online answers: one customer's each, and one kind for the people who run the deployment.

Kept are digests alone, in ``{home}/serving_tokens/{owner}.json``. A token is 256 bits of chance, so a plain SHA-256 of
it cannot be searched. A new one leaves those before it valid for a while: clients change over without a gap.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from capflow_assets.home.places import Home, write_if_changed

FOLDER = "serving_tokens"
# No customer is called so: their names have no dots.
OPERATOR = ".operator"
PREFIX = "cfa"
LONGEST = 200
RECHECK_SECONDS, RECHECK_UNKNOWN_SECONDS = 1.0, 0.02


@dataclass(frozen=True, slots=True)
class KeptToken:
    """What is kept of a token: its digest, and until when it holds (seconds since 1970; None: until replaced)."""

    sha256: str
    ends: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it is valid at a moment."""
        return self.ends is None or now < self.ends


def issue(home: Home, owner: str, overlap_hours: float = 24.0, now: float | None = None) -> str:
    """A new token of a customer (or ``OPERATOR``), to be shown once; those before it hold ``overlap_hours`` longer."""
    at = time.time() if now is None else now
    token = f"{PREFIX}_{secrets.token_urlsafe(32)}"
    ends = at + 3600 * overlap_hours
    older = [
        KeptToken(kept.sha256, ends if kept.ends is None else min(kept.ends, ends))
        for kept in kept_tokens(home, owner)
        if kept.holds(at)
    ]
    _keep(home, owner, [*older, KeptToken(_digest(token))])
    return token


def revoke(home: Home, owner: str) -> int:
    """No token of a customer holds any more, and it is not served; how many held."""
    count = sum(kept.holds(time.time()) for kept in kept_tokens(home, owner))
    _file(home, owner).unlink(missing_ok=True)
    return count


def kept_tokens(home: Home, owner: str) -> list[KeptToken]:
    """What is kept of the tokens of an owner; nothing where that cannot be read: no token holds then."""
    with suppress(OSError, ValueError, TypeError):
        return [KeptToken(**entry) for entry in json.loads(_file(home, owner).read_text(encoding="utf-8"))]
    return []


def served_customers(home: Home) -> list[str]:
    """The onboarded customers that have a token: they are served, and their answers are published.

    Raises:
        OSError: the folder cannot be read; they are not nobody then.
    """
    try:
        names = [file.name for file in (home.root / FOLDER).iterdir()]
    except FileNotFoundError:
        return []
    owners = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(owner for owner in owners if owner != OPERATOR and home.has(owner))


def is_served(home: Home, customer: str) -> bool:
    """Whether a customer (or ``OPERATOR``) has a token, be it one that cannot be read."""
    return _file(home, customer).exists()


@dataclass(slots=True)
class Gate:
    """Whose a token is, from memory; the files are looked at again when they have changed."""

    home: Home
    _owners: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    _sign: tuple[object, ...] = ()
    _looked_at: float = -1e9

    def owner(self, token: str) -> str | None:
        """The onboarded customer of a token that holds, or ``OPERATOR``; None for any other text."""
        owner = self.holder(token)
        return owner if owner is None or owner == OPERATOR or self.home.has(owner) else None

    def holder(self, token: str) -> str | None:
        """As ``owner``, for who looks at the customer's declaration anyway: a customer may be gone."""
        if len(token) > LONGEST:
            return None
        digest = _digest(token)
        self._look(RECHECK_SECONDS)
        if digest not in self._owners:  # it may be a moment old
            self._look(RECHECK_UNKNOWN_SECONDS)
        owner, ends = self._owners.get(digest, ("", None))
        if not owner or not (ends is None or time.time() < ends):
            return None
        return owner

    def _look(self, at_most_every: float) -> None:
        if time.monotonic() - self._looked_at < at_most_every:
            return
        self._looked_at = time.monotonic()
        folder = self.home.root / FOLDER
        with suppress(OSError):
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
            files = [entry for entry in entries if entry.name.endswith(".json")]
            sign = tuple((file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in files)
            if sign != self._sign:
                owners = [file.name.removesuffix(".json") for file in files]
                self._owners = {
                    kept.sha256: (owner, kept.ends) for owner in owners for kept in kept_tokens(self.home, owner)
                }
                self._sign = sign


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _file(home: Home, owner: str) -> Path:
    return home.root / FOLDER / f"{owner}.json"


def _keep(home: Home, owner: str, tokens: list[KeptToken]) -> None:
    folder = home.root / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = [{"sha256": kept.sha256, "ends": kept.ends} for kept in tokens]
    write_if_changed(_file(home, owner), json.dumps(content))
