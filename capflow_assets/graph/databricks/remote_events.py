"""What a step on Databricks tells while it runs, as the orchestrator reads it, and when to look for more."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value

from capflow_assets.graph.databricks.remote_step import EVENTS_FILE
from capflow_assets.graph.databricks.staging import Staging
from capflow_assets.graph.databricks.submitted_run import Submission

# The longer a run has taken, the longer the pause to the next look may be: a fifth of it, up to ten times the first.
# Within that, a look is due when half of what the work should still take has passed.
PAUSE_SHARE = 0.2
PAUSE_GROWTH = 10
# No step is over, and hardly one has begun, before that many pauses.
FIRST_LOOK = 4


class Pace:
    """When to look again: often where news is due, seldom where a long work has much before it.

    >>> pace = Pace(0.5, expected=10)
    >>> pace.pause_at(elapsed=0), pace.pause_at(elapsed=10), pace.pause_at(elapsed=1000)
    (2.0, 2.0, 5.0)
    """

    def __init__(self, first_s: float, expected: int) -> None:
        self._first, self._expected = first_s, expected
        self._done, self._began, self._worked_from = 0, time.monotonic(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the submission."""
        return time.monotonic() - self._began

    def seen(self, assets: int) -> None:
        """Note that so many more assets were reported as done."""
        if assets and not self._done:
            self._worked_from = self.elapsed
        self._done += assets

    def pause(self) -> float:
        """Seconds until the next look."""
        return self.pause_at(self.elapsed)

    def pause_at(self, elapsed: float) -> float:
        """Seconds until the next look, so long after the submission."""
        if elapsed < self._first:
            return FIRST_LOOK * self._first
        longest = min(max(self._first, PAUSE_SHARE * elapsed), PAUSE_GROWTH * self._first)
        if not self._done:
            return longest
        left = (elapsed - self._worked_from) * max(0, self._expected - self._done) / self._done
        return min(longest, max(self._first, left / 2))


class Events:
    """The events that a step has written so far, read from where the last look ended."""

    def __init__(self, staging: Staging, submission: Submission) -> None:
        self._staging, self._submission = staging, submission
        self._segment, self._offset = 1, 0
        self.last: Mapping[str, str] = {}
        self.closed = False

    @property
    def files(self) -> list[str]:
        """The files that there are by now."""
        return [EVENTS_FILE.format(self._submission.place, number) for number in range(1, self._segment + 1)]

    def read(self) -> list[EventLogEntry]:
        """The entries that are new."""
        entries: list[EventLogEntry] = []
        while True:
            content = self._staging.read(self.files[-1], self._offset)
            whole = content[: content.rfind(b"\n") + 1]
            self._offset += len(whole)
            segment = self._segment
            for line in whole.splitlines():
                entries += self._taken(json.loads(line))
            if self._segment == segment:
                return entries

    def _taken(self, line: Mapping[str, Any]) -> Sequence[EventLogEntry]:
        if line.get("token") != self._submission.token:
            return ()
        if "next" in line:
            self._segment, self._offset = int(line["next"]), 0
        elif "closed" in line:
            self.closed, self.last = True, line["closed"]
        elif "event" in line:
            return (deserialize_value(line["event"], EventLogEntry),)
        return ()
