"""What became of one table of one customer, as a walk over the tables tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from capflow_assets.contract import Finding


@dataclass(frozen=True, slots=True)
class TableResult:
    """What became of one table of one customer.

    ``counts`` are rows by reason (removed, flagged, rejected). ``how`` says what a raw table was landed of, or that
    nothing has changed. ``features`` are the catalogue's rows about it. ``blocked_by`` names the tables whose failure
    blocked it.
    """

    key: str
    status: Literal["done", "absent", "failed", "blocked"]
    reason: str = ""
    rows: int = 0
    seconds: float = 0.0
    compute_seconds: float = 0.0
    version: int | None = None
    as_of: datetime | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[tuple[str, Finding], ...] = ()
    plot: bytes | None = None
    error: Exception | None = None
    how: str = ""
    features: tuple[Mapping[str, Any], ...] = ()
    blocked_by: tuple[str, ...] = ()
