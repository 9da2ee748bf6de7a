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
from collections.abc import Mapping
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
# A list of thousands is made again after so many times what it took, and after so long at the latest.
LEAST_PAUSE, RELIST_SECONDS = 20.0, 60.0
# File systems tell times apart by less than this.
UNSURE_SECONDS = 2.0


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
class ServedCustomers:
    """``served_customers`` of a home, listed again once a token or a declaration has come or gone; for any thread.

    Both folders change with their files, which are replaced and never written in place. A folder that changed within
    ``UNSURE_SECONDS`` may change again without its time telling of it, and is listed again.
    """

    home: Home
    _names: list[str] = field(default_factory=list)
    _signs: tuple[int, ...] = ()
    _listed_at: float = -1e9

    def __call__(self) -> list[str]:
        """The onboarded customers that have a token.

        Raises:
            OSError: the folder of tokens cannot be read.
        """
        signs = tuple(_changed(folder) for folder in (self.home.root / FOLDER, self.home.customers))
        at = time.monotonic()
        if signs != self._signs or not all(signs) or at - self._listed_at > RELIST_SECONDS:
            self._names = served_customers(self.home)
            self._signs, self._listed_at = _sure(signs), at
        return self._names


@dataclass(frozen=True, slots=True)
class _Owner:
    """What was read of an owner's file: its sign, until when each digest holds, and when it was last looked at."""

    sign: tuple[int, int]
    ends: Mapping[str, float | None]
    looked_at: float


@dataclass(slots=True)
class Gate:
    """Whose a token is, from memory; an owner's file is looked at again each second, and at once for another token.

    Who opens what is decided by the file of the owner that a request names. All files together only tell a token of
    somebody else from one that holds no more, and are listed once their folder has changed.
    """

    home: Home
    _owners: dict[str, _Owner] = field(default_factory=dict)
    # Of all files, by name: the inode, and the digests with until when they hold.
    _all: dict[str, tuple[int, Mapping[str, float | None]]] = field(default_factory=dict)
    _owner_of: dict[str, str] = field(default_factory=dict)
    _signs: tuple[int, ...] = ()
    _listed_at: float = -1e9
    _listing_seconds: float = 0.0

    def owner(self, token: str) -> str | None:
        """The onboarded customer of a token that holds, or ``OPERATOR``; None for any other text."""
        owner = self.holder(token, OPERATOR)
        return owner if owner is None or owner == OPERATOR or self.home.has(owner) else None

    def holder(self, token: str, expected: str) -> str | None:
        """Whose a token is, ``expected`` first; its customer may be gone, which the caller sees anyway."""
        if len(token) > LONGEST:
            return None
        digest, now = _digest(token), time.time()
        if self._holds(expected, digest, now):
            return expected
        self.look()
        owner = self._owner_of.get(digest)
        return owner if owner is not None and self._holds(owner, digest, now) else None

    def look(self) -> None:
        """Read the files that came or were replaced, if the folder has changed; seldom enough to cost little."""
        at, folder = time.monotonic(), self.home.root / FOLDER
        if at - self._listed_at < max(RECHECK_UNKNOWN_SECONDS, LEAST_PAUSE * self._listing_seconds):
            return
        signs = (_changed(folder),)
        if signs != self._signs:
            with suppress(OSError):
                self._list(folder)
            self._signs = _sure(signs)
            self._listing_seconds = time.monotonic() - at
        self._listed_at = time.monotonic()

    def _list(self, folder: Path) -> None:
        listed = {}
        entries = os.scandir(folder) if folder.is_dir() else ()
        for entry in entries:
            name, _, suffix = entry.name.rpartition(".")
            if suffix == "json":
                known = self._all.get(name)
                inode = entry.inode()
                listed[name] = known if known is not None and known[0] == inode else (inode, _ends(self.home, name))
        if listed != self._all:
            self._all = listed
            self._owner_of = {digest: name for name, (_, ends) in listed.items() for digest in ends}

    def _holds(self, owner: str, digest: str, now: float) -> bool:
        at, known = time.monotonic(), self._owners.get(owner)
        if known is None or digest not in known.ends or at - known.looked_at > RECHECK_SECONDS:
            known = self._read(owner, known, at)
        if known is None or digest not in known.ends:
            return False
        ends = known.ends[digest]
        return ends is None or now < ends

    def _read(self, owner: str, known: _Owner | None, at: float) -> _Owner | None:
        """An owner's file as it is now; nothing is kept of one that has none, whatever a request names."""
        try:
            state = os.stat(f"{self.home.root}/{FOLDER}/{owner}.json")  # noqa: PTH116  (asked for answers online)
        except (OSError, ValueError):
            self._owners.pop(owner, None)
            return None
        sign = state.st_ino, state.st_mtime_ns
        is_known = known is not None and known.sign == sign and _is_sure(state.st_mtime_ns, known.looked_at - at)
        ends = known.ends if known is not None and is_known else _ends(self.home, owner)
        self._owners[owner] = read = _Owner(sign, ends, at)
        return read


def _ends(home: Home, owner: str) -> dict[str, float | None]:
    return {kept.sha256: kept.ends for kept in kept_tokens(home, owner)}


def _changed(folder: Path) -> int:
    """When a folder's list of files changed last; 0 where there is none."""
    with suppress(OSError):
        return folder.stat().st_mtime_ns
    return 0


def _is_sure(changed_ns: int, since_s: float = 0.0) -> bool:
    """Whether what was read (``since_s`` from now, so at most 0) was read well after the last change it shows."""
    return time.time() + since_s - changed_ns / 1e9 > UNSURE_SECONDS


def _sure(signs: tuple[int, ...]) -> tuple[int, ...]:
    """Signs that tell the next change for certain; none where that may have the same ones."""
    return signs if all(_is_sure(sign) for sign in signs) else ()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _file(home: Home, owner: str) -> Path:
    return home.root / FOLDER / f"{owner}.json"


def _keep(home: Home, owner: str, tokens: list[KeptToken]) -> None:
    folder = home.root / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = [{"sha256": kept.sha256, "ends": kept.ends} for kept in tokens]
    write_if_changed(_file(home, owner), json.dumps(content))
