"""Fair shares: a customer is answered at once up to its rate, and told to wait beyond it. Others do not notice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from capflow_assets.serving.problems import ProblemError

# What may come at once, in seconds of the rate.
BURST_SECONDS = 2.0
# A request costs as much as so many answers, however few it asks for.
REQUEST_COST = 1.0
# A body that is refused costs as much as one answer, and one for so many bytes that were read of it.
REFUSED_BYTES = 16_384


@dataclass(slots=True)
class Shares:
    """What is left of each customer's share; ``processes`` share the rate."""

    processes: int = 1
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, customer: str, answers: int, rate: float, now: float | None = None) -> None:
        """Take a request's answers from the customer's share.

        A request larger than all that may come at once is answered where nothing was taken before, and owed for.

        Raises:
            ProblemError: 429 with the seconds to wait.
        """
        left, most, at = self._now(customer, rate, now)
        cost = max(REQUEST_COST, float(answers))
        self._require(customer, min(cost, most), left, rate)
        self._left[customer] = left - cost, at

    def require(self, customer: str, rate: float, now: float | None = None) -> None:
        """Refuse a request before its body is read, where the customer has no share left for the smallest one.

        Raises:
            ProblemError: 429 with the seconds to wait.
        """
        left, most, _ = self._now(customer, rate, now)
        self._require(customer, min(REQUEST_COST, most), left, rate)

    def charge(self, customer: str, read_bytes: int, rate: float, now: float | None = None) -> None:
        """Take from the share what it costs to read a body and refuse it; nobody is told to wait for that now."""
        left, most, at = self._now(customer, rate, now)
        self._left[customer] = max(-most, left - REQUEST_COST - read_bytes / REFUSED_BYTES), at

    def _now(self, customer: str, rate: float, now: float | None) -> tuple[float, float, float]:
        """What is left of a share, the most of it, and the moment on the clock that never jumps."""
        at = time.monotonic() if now is None else now
        own_rate = rate / self.processes
        most = BURST_SECONDS * own_rate
        left, seen = self._left.get(customer, (most, at))
        if at > seen:
            left += (at - seen) * own_rate
        return (left if left < most else most), most, at

    def _require(self, customer: str, cost: float, left: float, rate: float) -> None:
        if left < cost:
            words = f"more than the customer's {rate:g} answers a second; [serving] answers_per_second in its TOML"
            raise ProblemError(429, words, retry_after_s=(cost - left) * self.processes / rate)
