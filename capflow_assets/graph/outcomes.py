"""What became of one asset of one customer, as the work of a step tells those who report it to Dagster."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import dagster as dg

from capflow_assets.contract import Finding
from capflow_assets.errors import CapflowError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one asset of one customer. ``failure`` is empty where it was materialized.

    ``consequence_of`` names the assets whose failure led to it, and ``trace`` is where another library's error came
    from. ``again_at`` is when the work is worth to be done again, whether it failed or something waits.
    ``data_version`` stands for the asset's data where the ``version`` of the metadata does not.
    """

    key: dg.AssetKey
    metadata: dict[str, Any] = field(default_factory=dict)
    findings: tuple[tuple[dg.AssetKey, Finding], ...] = ()
    failure: str = ""
    consequence_of: tuple[str, ...] = ()
    error: Exception | None = None
    trace: str = ""
    again_at: datetime | None = None
    data_version: str = ""

    def as_plain(self) -> Outcome:
        """The same without the error itself, which may not travel between processes; its trace does."""
        return replace(self, error=None, trace=self.trace or trace(self.error))


Work = Callable[[str], Iterable[Outcome]]


def trace(error: Exception | None) -> str:
    """Where an error came from; nothing where its own words say all there is to say."""
    if error is None or isinstance(error, CapflowError):
        return ""
    return "".join(traceback.format_exception(error))
