"""Publishing what is newer in the lake, of the customers that are served, while a server runs.

A night publishes by itself where it runs in the same home. Elsewhere, and for homes whose nights ran before a customer
was served, the server does: ``capflow serve`` in a process that ends when it is done, since tables take memory and
libraries that answers do not need. Of several processes one works.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from capflow_assets.deployment import Deployment
from capflow_assets.serving.lake_signs import LakeSigns, Sign
from capflow_assets.serving.outcomes import has_failed
from capflow_assets.serving.tokens import is_served, served_customers
from capflow_assets.stores.answer_store import FOLDER

EVERY_SECONDS = 60.0
# A customer of whom something failed is tried again, whatever signs say: after the first, twice that, and so on.
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 60.0, 600.0
# Between customers it rests so many times as long as it looked: answers are given by the same process. All rests
# together take no longer than this.
RESTS, REST_SECONDS = 10.0, 30.0
# A process that publishes has to end within.
MOST_SECONDS = 3600.0
LOG = logging.getLogger("capflow.serving")

# By customer what was done or went wrong, table by table.
Done = dict[str, dict[str, str]]
Publish = Callable[[Sequence[str]], Done]


def publish_each(deployment: Deployment, customers: Sequence[str]) -> Done:
    """Publish what is newer of each; one that fails keeps its last answers, the others go on."""
    from capflow_assets.serving.publication import publish

    done: Done = {}
    for customer in customers:
        if not is_served(deployment.home, customer):  # revoked since, and its store was removed
            continue
        try:
            done[customer] = publish(deployment, customer)
        except Exception as error:  # a customer whose home or lake is broken in whatever way leaves the others
            LOG.warning({"what": "nothing is published", "customer": customer, "error": str(error)[:500]})
    return done


def published_apart(root: str, customers: Sequence[str]) -> Done:
    """As ``publish_each``, by `capflow serve publish` in a process of its own, behind all others.

    Raises:
        OSError: it cannot be started, or ends in failure.
    """
    program = [sys.executable, "-P", "-m", "capflow_assets", "serve", "publish", *customers, "--home", root]
    ended = subprocess.run(  # noqa: S603
        program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, timeout=MOST_SECONDS
    )
    if ended.returncode:
        raise OSError(f"capflow serve publish ended with {ended.returncode}")
    done: Done = json.loads(ended.stdout.splitlines()[-1])
    return done


@dataclass(frozen=True, slots=True)
class _Retry:
    """When a customer is tried again, and how long after the last time that is."""

    due_at: float
    wait_seconds: float


@dataclass(slots=True)
class Refresher:
    """Looks at the lake again and again, until ``stop``; ``publish`` does the work, ``publish_each`` by default.

    ``kept`` says what a store elsewhere holds of a customer; it changes where that was lost. ``champions`` says which
    versions answer. ``customers`` are those that are served, ``served_customers`` by default.
    """

    deployment: Deployment
    publish: Publish | None = None
    kept: Callable[[str], Any] = lambda customer: ()
    champions: Callable[[str], Any] = lambda customer: ()
    every_seconds: float = EVERY_SECONDS
    customers: Callable[[], list[str]] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _look: LakeSigns = field(init=False)
    # By customer the sign of what is published, and of those that failed when they are tried again.
    _signs: dict[str, Sign] = field(default_factory=dict)
    _retries: dict[str, _Retry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._look = LakeSigns(self.deployment)

    def run(self) -> None:
        """Publish once at the start and then every minute; another process that does so already is left to it."""
        folder = self.deployment.home.root / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / ".refreshing").open("wb") as lock:
            while not self._stop.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass
                else:
                    self._tried()
                self._stop.wait(self.every_seconds)

    def _tried(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # too many open files, say: the next minute may have fewer
            LOG.warning({"what": "the lake was not looked at", "error": type(error).__name__})

    def refresh(self) -> bool:
        """Publish what is newer of each served customer; whether anything was."""
        served = served_customers(self.deployment.home) if self.customers is None else self.customers()
        signs, now = self._signs_of(served), time.monotonic()
        newer = [name for name, sign in signs.items() if self._signs.get(name) != sign or self._is_due(name, now)]
        if not newer or self._stop.is_set():
            return False
        done = publish_each(self.deployment, newer) if self.publish is None else self.publish(newer)
        for customer, after in self._signs_of(newer).items():
            # What was published is part of the sign; what came to the lake meanwhile is not, and is seen next time.
            self._signs[customer] = Sign(signs[customer].source, after.store)
            tables = done.get(customer)
            is_failed = tables is None or any(map(has_failed, tables.values()))
            # What was lost while others were published is part of the sign after that, and is tried again too.
            is_failed = is_failed or self._look.is_lost(customer, self.kept(customer))
            self._note_failure(customer, time.monotonic(), is_failed=is_failed)
            if tables:
                LOG.info({"what": "published", "customer": customer, "tables": tables})
        return any(done.values())

    def _is_due(self, customer: str, now: float) -> bool:
        """Whether a customer of whom something could not be published is to be tried again."""
        return customer in self._retries and self._retries[customer].due_at <= now

    def _note_failure(self, customer: str, now: float, *, is_failed: bool) -> None:
        before = self._retries.pop(customer, None)
        if is_failed:
            wait = RETRY_SECONDS if before is None else min(2 * before.wait_seconds, LONGEST_RETRY_SECONDS)
            self._retries[customer] = _Retry(now + wait, wait)

    def _signs_of(self, customers: Sequence[str]) -> dict[str, Sign]:
        """The signs of customers, with a rest after each; those that were looked at before ``stop``."""
        signs: dict[str, Sign] = {}
        for customer in customers:
            began = time.monotonic()
            signs[customer] = self._look.of(customer, self.champions(customer), self.kept(customer))
            took = time.monotonic() - began
            if self._stop.wait(min(RESTS * took, REST_SECONDS / len(customers))):
                break
        return signs

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()


def be_last() -> None:
    """Let all other processes of the machine work first."""
    os.nice(10)
