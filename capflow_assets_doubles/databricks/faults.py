"""What can go wrong, for a test to switch on while runs are under way."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from capflow_assets_doubles.databricks.wire import ApiError

NEVER = float("inf")


class ConnectionLostError(Exception):
    """The connection breaks; ``answered`` where the workspace has done what it was asked."""

    def __init__(self, answered: bool) -> None:
        super().__init__("connection lost")
        self.answered = answered


@dataclass
class _Fault:
    kind: str
    left: float
    until: float
    on: str
    retry_after_s: int = 1


@dataclass
class Faults:
    """Faults of the network and of the workspace hit the client's calls only, never those of a running step.

    Attributes:
        start_delay_s: How long compute stays PENDING before it is there.
        never_starts: Compute stays PENDING until the run times out or is cancelled.
        start_failure: Compute fails to start, with this termination code, e.g.
            ``AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE``.
        driver_dies_after_s: The step's process is killed (SIGKILL) so long after its start.
        deaths_left: How many processes of steps are killed so; all of them by default.
    """

    start_delay_s: float = 0.0
    never_starts: bool = False
    start_failure: str | None = None
    driver_dies_after_s: float | None = None
    deaths_left: float = NEVER
    _faults: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose_network(self, calls: float = NEVER, seconds: float = NEVER, on: str = "") -> None:
        """Break the connection of the next calls, or for some seconds, before the workspace hears them.

        ``on`` is a part of the path: only such calls are hit.
        """
        self._add("lost", calls, seconds, on)

    def lose_answers(self, calls: float = NEVER, seconds: float = NEVER, on: str = "") -> None:
        """The workspace does what it is asked, then the connection breaks."""
        self._add("unanswered", calls, seconds, on)

    def throttle(self, calls: float = NEVER, seconds: float = NEVER, on: str = "", retry_after_s: int = 1) -> None:
        """Answer 429 with ``Retry-After``."""
        self._add("throttled", calls, seconds, on, retry_after_s)

    def unavailable(self, calls: float = NEVER, seconds: float = NEVER, on: str = "", retry_after_s: int = 1) -> None:
        """Answer 503 TEMPORARILY_UNAVAILABLE."""
        self._add("unavailable", calls, seconds, on, retry_after_s)

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._faults.clear()
        self.start_delay_s, self.never_starts, self.start_failure, self.driver_dies_after_s = 0.0, False, None, None
        self.deaths_left = NEVER

    def driver_death(self) -> float | None:
        """After how many seconds the process that starts now is killed; None where it is not."""
        with self._lock:
            if self.driver_dies_after_s is None or self.deaths_left <= 0:
                return None
            self.deaths_left -= 1
            return self.driver_dies_after_s

    def _add(self, kind: str, calls: float, seconds: float, on: str, retry_after_s: int = 1) -> None:
        with self._lock:
            self._faults.append(_Fault(kind, calls, time.monotonic() + seconds, on, retry_after_s))

    def hit(self, path: str) -> bool:
        """Fail the call if a fault says so. True where it is to be done but not answered."""
        with self._lock:
            now = time.monotonic()
            self._faults = [fault for fault in self._faults if fault.left > 0 and fault.until > now]
            fault = next((fault for fault in self._faults if fault.on in path), None)
            if fault is None:
                return False
            fault.left -= 1
        wait = str(fault.retry_after_s)
        if fault.kind == "throttled":
            raise ApiError(
                429, "REQUEST_LIMIT_EXCEEDED", "Current request has exceeded the rate limit", Retry_After=wait
            )
        if fault.kind == "unavailable":
            words = "The service at /api is temporarily unavailable. Please try again later."
            raise ApiError(503, "TEMPORARILY_UNAVAILABLE", words, Retry_After=wait)
        if fault.kind == "lost":
            raise ConnectionLostError(answered=False)
        return True
