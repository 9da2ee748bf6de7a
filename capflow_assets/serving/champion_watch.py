"""Which version answers now, read of MLflow every other second: a flip, a roll-back or a freeze needs no restart.

While MLflow cannot be reached, what was read last holds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capflow_assets.home.places import SQLITE
from capflow_assets.stores.champion_state import champion_state
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_file import file_snapshot
from capflow_assets.stores.registry_snapshot import snapshot

EVERY_SECONDS = 2.0


@dataclass(slots=True)
class ChampionWatch:
    """The champions of all served customers, as of the last look."""

    registry: Registry
    customers: Callable[[], list[str]]
    known: Registry | None = None
    champions: dict[str, int] = field(default_factory=dict)
    is_reached: bool = False
    _sign: tuple[Any, ...] = ()
    _stop: threading.Event = field(default_factory=threading.Event)

    def champion(self, customer: str, model: str) -> int | None:
        """The champion as of the last look; None where there is none, or MLflow was never reached."""
        return self.champions.get(f"{customer}.{model}")

    def of(self, customer: str, models: Iterable[str]) -> tuple[int | None, ...]:
        """The champions of a customer's models as of the last look, in their order."""
        return tuple(self.champion(customer, model) for model in models)

    def look(self) -> bool:
        """Read the champions, if anything may have changed; whether MLflow was reached.

        Where no customer is served, or MLflow's file was never made, nothing is made for it.
        """
        try:
            return self._looked()
        except Exception as error:  # whatever MLflow, its server, its database or the disk fail with
            if self.is_reached:
                words = {"what": "MLflow is not reached; the last champions hold", "error": type(error).__name__}
                logging.getLogger("capflow.serving").warning(words)
            self.is_reached = False
            return False

    def _looked(self) -> bool:
        customers = self.customers()
        sign = (tuple(customers), *self._file_signs())
        if self.is_reached and sign == self._sign and len(sign) > 1:
            return True
        is_missing = self.registry.uri.startswith(SQLITE) and len(sign) == 1
        if not customers or (is_missing and self.known is None):
            self.champions, self.is_reached, self._sign = {}, True, sign
            return True
        if is_missing:  # opened, it would be made anew, and empty
            raise FileNotFoundError
        read = file_snapshot(self.registry, customers) or snapshot(self.registry, customers)
        champions = {
            name: state.champion
            for name, entry in read.reader.models.items()
            if (state := champion_state(entry.tags, entry.aliases)).champion is not None
        }
        self.known, self.champions = read, {name: version for name, version in champions.items() if version}
        self.is_reached, self._sign = True, sign
        return True

    def run(self) -> None:
        """Look again and again, until ``stop``."""
        while not self._stop.wait(EVERY_SECONDS):
            self.look()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _file_signs(self) -> list[Any]:
        """The times of change of MLflow's own database; nothing where it is a server."""
        if not self.registry.uri.startswith(SQLITE):
            return []
        file, signs = self.registry.uri.removeprefix(SQLITE), []
        for place in (file, f"{file}-wal"):
            with suppress(OSError):
                state = Path(place).stat()
                signs.append((state.st_mtime_ns, state.st_size))
        return signs
