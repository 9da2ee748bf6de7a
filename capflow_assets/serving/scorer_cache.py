"""Versions that are ready to answer, within a bound of bytes: loads run side by side and once each, the coldest go.

What a loaded version keeps is reckoned from its nodes, as measured. Besides, the process is looked at after each load:
sessions do not give all of their memory back, so where it has grown by more than the bound, half of what is kept goes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from capflow_assets.learning.online.scorers import Scorer
from capflow_assets.learning.online.visit_lists import VisitLists
from capflow_assets.serving.memory import give_memory_back, rss_bytes

LOADS_AT_ONCE = 2
RETRY_SECONDS = 15.0
# Growth of a process by less than this says nothing of its sessions.
LEAST_GROWTH_BYTES = 32 << 20
# To give memory back takes tenths of a second.
TRIM_SECONDS = 5.0
DEFAULT_BOUND_BYTES = 1 << 30
# A model's file may take so much of the bound: a quarter.
LARGEST_SHARE = 4
# A version that cannot be loaded is remembered as this many bytes.
NOTHING_BYTES = 1_000

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class NightOnly:
    """A version that answers as of the night alone, and ``why``."""

    why: str
    size_bytes: int = NOTHING_BYTES


@dataclass(frozen=True, slots=True)
class LoadedScorer:
    """A version that is ready: ``version`` answers, since no newer one before it in line can be loaded.

    ``accepted`` are the features that a request may give: those that this version reads, and those that its model
    names, which the version before it may have read.
    """

    version: int
    rung: str
    scorer: Scorer | VisitLists | NightOnly
    bands: tuple[tuple[float, str], ...] = ()
    accepted: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Kept:
    loaded: LoadedScorer | None
    size_bytes: int
    at: float


@dataclass(slots=True)
class ScorerCache:
    """Loaded versions by customer, model and champion; for one event loop."""

    load: Callable[[Key], LoadedScorer | None]
    bound_bytes: int = DEFAULT_BOUND_BYTES
    cold_loads: int = 0
    evictions: int = 0
    resident_bytes: int = 0
    _kept: OrderedDict[Key, _Kept] = field(default_factory=OrderedDict)
    _loading: dict[Key, asyncio.Future[LoadedScorer | None]] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LOADS_AT_ONCE, "load"))
    # After the first load, with all libraries in.
    _first_rss: int = 0
    _trimmed_at: float = -1e9

    def __len__(self) -> int:
        return sum(kept.loaded is not None for kept in self._kept.values())

    @property
    def largest_file_bytes(self) -> int:
        """How large a model's file may be: it becomes a few times that in memory, and others are to have room too."""
        return self.bound_bytes // LARGEST_SHARE

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def ready(self, key: Key) -> LoadedScorer | None:
        """A version that is loaded already."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept.loaded

    async def get(self, key: Key) -> LoadedScorer | None:
        """A version, loaded if need be; None where neither it nor one before it in line can be.

        Where one before it was loaded in its place, that answers while it is tried again from time to time.
        """
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            is_own = kept.loaded is not None and kept.loaded.version == key[2]
            if is_own or time.monotonic() - kept.at < RETRY_SECONDS:
                return kept.loaded
        if key not in self._loading:
            self._loading[key] = asyncio.ensure_future(self._loaded(key))
        if kept is not None and kept.loaded is not None:
            return kept.loaded
        return await asyncio.shield(self._loading[key])

    async def settled(self) -> None:
        """Wait for the loads that are under way."""
        await asyncio.gather(*self._loading.values())

    def models(self) -> list[tuple[str, str]]:
        """The customers' models of which a version is loaded, the latest asked for last."""
        return [key[:2] for key, kept in self._kept.items() if kept.loaded is not None]

    def close(self) -> None:
        """Begin no more loads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _loaded(self, key: Key) -> LoadedScorer | None:
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._threads, self.load, key)
            self.cold_loads += 1
        except Exception as error:  # a version may be broken in any way; the ladder goes on without it
            words = {"what": "a version cannot be loaded", "version": key, "error": f"{type(error).__name__}: {error}"}
            logging.getLogger("capflow.serving").warning(words)
            loaded = None
        finally:
            self._loading.pop(key, None)
        self._keep(key, loaded)
        return loaded

    def _keep(self, key: Key, loaded: LoadedScorer | None) -> None:
        for other in [other for other in self._kept if other[:2] == key[:2]]:
            self._drop(other)  # of an older champion
        size = NOTHING_BYTES if loaded is None else loaded.scorer.size_bytes
        # Room first: whoever reads the gauge, in another thread, never sees more than the bound.
        while self._kept and self.resident_bytes + size > self.bound_bytes:
            self._drop(next(iter(self._kept)))
            self.evictions += 1
        self._kept[key] = _Kept(loaded, size, time.monotonic())
        self.resident_bytes += size
        self._first_rss = self._first_rss or rss_bytes()
        now = time.monotonic()
        most = self._first_rss + max(2 * self.bound_bytes, LEAST_GROWTH_BYTES)
        if now - self._trimmed_at > TRIM_SECONDS and rss_bytes() > most:
            self._trimmed_at = now
            for other in list(self._kept)[: len(self._kept) // 2]:
                self._drop(other)
                self.evictions += 1
            give_memory_back()

    def _drop(self, key: Key) -> None:
        self.resident_bytes -= self._kept.pop(key).size_bytes
