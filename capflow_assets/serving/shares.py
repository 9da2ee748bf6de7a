"""Fair shares: a customer is answered at once up to its rate, and told to wait beyond it. Others do not notice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from capflow_assets.serving.problems import ProblemError

# What may come at once, in seconds of the rate.
BURST_SECONDS = 2.0
# A request costs as much as so many answers, however few it asks for.
REQUEST_COST = 1.0


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
        at = time.monotonic() if now is None else now
        own_rate = rate / self.processes
        most, cost = BURST_SECONDS * own_rate, max(REQUEST_COST, float(answers))
        left, seen = self._left.get(customer, (most, at))
        left = min(most, left + (at - seen) * own_rate)
        if left < min(cost, most):
            self._left[customer] = left, at
            wait = (min(cost, most) - left) / own_rate
            words = f"more than the customer's {rate:g} answers a second; [serving] answers_per_second in its TOML"
            raise ProblemError(429, words, retry_after_s=wait)
        self._left[customer] = left - cost, at
