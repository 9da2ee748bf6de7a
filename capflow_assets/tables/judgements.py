"""What was found in the rows of a raw table that would land, and what became of the landing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.contract import Finding

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found about which table in rows that would land, and why they must not, if so."""

    findings: tuple[tuple[str, Finding], ...]
    refusal: str = ""


Judge = Callable[["DataFrame | None", tuple[Finding, ...]], Judgement]


@dataclass(frozen=True, slots=True)
class Landing:
    """What became of a raw table: its version (none if it was refused) and what came. ``how`` says what was read."""

    counts: Mapping[str, int]
    judgement: Judgement
    version: int | None
    how: str
