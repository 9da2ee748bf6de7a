"""The figures of the long rounds, for ``bench/reliability.md``: what was tried, how often, and with what result."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path

VARIABLE = "CAPFLOW_RELIABILITY"
# Resolved at once: a test may go to another folder.
PLACE = Path(os.environ[VARIABLE]).resolve() if os.environ.get(VARIABLE) else None


def record(name: str, *, place: Path | None = PLACE, **figures: object) -> None:
    """Put the figures of a round in place of its last ones, in the JSON file that the variable names, if it does."""
    if place is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # rounds may run side by side
        file.seek(0)
        kept = json.loads(file.read() or "{}")
        kept[name] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **figures}
        file.truncate(0)
        file.write(json.dumps(kept, indent=2, sort_keys=True) + "\n")
