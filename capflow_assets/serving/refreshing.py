"""Publishing what is newer in the lake, of the customers that are served, while a server runs.

A night publishes by itself where it runs in the same home. Elsewhere, and for homes whose nights ran before a customer
was served, the server does. Of several processes one works.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from dataclasses import dataclass, field

from capflow_assets.deployment import Deployment
from capflow_assets.serving.memory import give_memory_back
from capflow_assets.serving.publication import publish
from capflow_assets.serving.tokens import is_served, served_customers
from capflow_assets.stores.answer_store import FOLDER

EVERY_SECONDS = 60.0
LOG = logging.getLogger("capflow.serving")


@dataclass(slots=True)
class Refresher:
    """Looks at the lake again and again, until ``stop``."""

    deployment: Deployment
    every_seconds: float = EVERY_SECONDS
    _stop: threading.Event = field(default_factory=threading.Event)

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
            if self.refresh():
                give_memory_back()
        except Exception as error:  # too many open files, say: the next minute may have fewer
            LOG.warning({"what": "the lake was not looked at", "error": type(error).__name__})

    def refresh(self) -> bool:
        """Publish what is newer of each served customer; whether anything was.

        One that fails keeps its last answers, the others go on.
        """
        is_any = False
        for customer in served_customers(self.deployment.home):
            if self._stop.is_set():
                return is_any
            if not is_served(self.deployment.home, customer):  # revoked since, and its store was removed
                continue
            try:
                done = publish(self.deployment, customer)
            except Exception as error:  # a customer whose home or lake is broken in whatever way leaves the others
                LOG.warning({"what": "nothing is published", "customer": customer, "error": str(error)[:500]})
            else:
                if done:
                    is_any = True
                    LOG.info({"what": "published", "customer": customer, "tables": done})
        return is_any

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
