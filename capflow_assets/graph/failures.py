"""Why assets of customers were not made, as data: from where it is known to those who tell people.

A step that fails carries its failures as metadata beside the words for people, so that nobody reads the words back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class AssetFailure:
    """One asset of one customer that was not made. ``consequence_of`` names the assets whose failure led to it."""

    customer: str
    key: str
    reason: str
    consequence_of: tuple[str, ...] = ()

    @classmethod
    def of_failed_inputs(cls, customer: str, key: str, failed: Sequence[str], then: str = "") -> AssetFailure:
        """The failure of an asset that is made of ``failed`` ones.

        >>> AssetFailure.of_failed_inputs("boots", "models/churn", ["clean/bills", "features/rfm"]).reason
        'clean/bills, features/rfm failed'
        """
        return cls(customer, key, f"{', '.join(failed)} failed{then}", tuple(failed))

    @property
    def words(self) -> str:
        """The failure in one line or more, with whose it is."""
        return f"{self.customer}: {self.key}: {self.reason}"


def step_failure(customers: Sequence[str], failures: Sequence[AssetFailure]) -> dg.Failure:
    """The end of a step that did not make everything: in words, and as data."""
    keys_of: dict[str, list[str]] = {}
    for failure in failures:
        keys_of.setdefault(failure.customer, []).append(failure.key)
    lines = [failure.words for failure in failures]
    return dg.Failure(
        description=f"{len(keys_of)} of {len(customers)} customers failed: {', '.join(keys_of)}\n" + "\n".join(lines),
        metadata={
            "failed": dg.MetadataValue.json(keys_of),
            "completed": dg.MetadataValue.json([name for name in customers if name not in keys_of]),
            FAILURES: dg.MetadataValue.json([asdict(failure) for failure in failures]),
        },
        allow_retries=False,
    )


def failures_of_step(event: dg.DagsterEvent, customer: str, keys: Iterable[str]) -> dict[str, AssetFailure]:
    """The failures of a customer in a step that failed, by asset; where the step does not tell, all of ``keys``."""
    named = frozenset(keys)
    failures = declared_failures(event) or []
    own = {read.key: read for read in failures if read.customer == customer and read.key in named}
    if own:
        return own
    data: Any = event.step_failure_data
    failure = data.user_failure_data
    error = data.error.message if data.error else ""
    reason = (failure.description if failure else None) or error
    return {key: AssetFailure(customer, key, reason) for key in keys}


def declared_failures(event: dg.DagsterEvent) -> list[AssetFailure] | None:
    """The failures of all customers of a step, as it declares them; None where it broke without a word of them."""
    data: Any = event.step_failure_data
    failure = data.user_failure_data
    declared = (failure.metadata or {}).get(FAILURES) if failure else None
    return None if declared is None else [_read(content) for content in declared.value]


def _read(content: dict[str, Any]) -> AssetFailure:
    return AssetFailure(**{**content, "consequence_of": tuple(content["consequence_of"])})
