"""One scoring's health as a row of figures, and back: the history that the retraining policy looks at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from capflow_assets.monitoring.feed import Feed
from capflow_assets.monitoring.observations import Live, Night, Reliability

ENDS = ("value", "low", "high")
SEPARATOR = "; "


@dataclass(frozen=True, slots=True)
class Scoring:
    """One night with what stands beside it: who was scored, the feed, and why nothing is known of how good it was.

    ``blind`` says why the scores alone do not tell, ``unknown`` why what came does not. ``live_as_of`` and
    ``live_version`` are of the answers that were held against what came; ``partial_as_of`` of those of which some has
    come, ``partial_pct`` of all that will.
    """

    night: Night
    subjects: int
    feed: Feed | None = None
    blind: str = ""
    unknown: str = ""
    live: Live | None = None
    live_as_of: datetime | None = None
    live_version: int | None = None
    partial_as_of: datetime | None = None
    partial_pct: float | None = None


def row_of(scoring: Scoring) -> dict[str, Any]:
    """The scoring as plain values, in the columns of ``performance/{model}``."""
    night, feed, live = scoring.night, scoring.feed, scoring.live
    estimate, held, partial = night.estimate, night.reliability, night.partial
    # Of the version that scored; what an earlier one promised does not stand beside this one's figures.
    own = estimate or night.live or night.partial
    known = own or live
    return {
        "as_of": night.as_of,
        "model_version": night.model_version,
        "subjects": scoring.subjects,
        "psi_max": night.psi_max,
        "worst": night.column,
        "is_over": night.over,
        "importance_over": night.importance,
        "is_seasonal": night.is_seasonal,
        "faults": SEPARATOR.join(night.faults),
        "newest_bill_days": feed.days_old if feed else None,
        "bills_last_days": feed.rows if feed else None,
        "bills_usual": feed.usual if feed else None,
        "metric": known.metric if known else None,
        "is_higher_better": known.is_higher_better if known else None,
        **_ends("promised", (own.promised, own.promised_low, own.promised_high) if own else None),
        **_ends("estimate", (estimate.value, estimate.low, estimate.high) if estimate else None),
        "blind": scoring.blind,
        **_ends("live", (live.value, live.low, live.high) if live else None),
        "live_as_of": scoring.live_as_of,
        "live_version": scoring.live_version,
        "unknown": scoring.unknown,
        **_ends("partial", (partial.value, partial.low, partial.high) if partial else None),
        "partial_as_of": scoring.partial_as_of,
        "partial_pct": scoring.partial_pct,
        "late": night.late,
        "predicted": held.predicted if held else None,
        **_ends("observed", (held.observed, held.low, held.high) if held else None),
    }


def nights_of(rows: Iterable[Mapping[str, Any]]) -> list[Night]:
    """The nights of such rows, oldest first.

    What was measured of an earlier version's answers says nothing of the version that scored, and what was answered on
    a broken feed nothing of the version at all: both are left out.
    """
    known = list(rows)
    broken = {row["as_of"] for row in known if row["faults"]}
    return sorted((_night(row, broken) for row in known), key=lambda night: night.as_of)


def past_errors(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """What was measured less what was estimated, of each scoring whose horizon is over; newest measurement last."""
    estimates = {(row["as_of"], row["model_version"]): row["estimate"] for row in rows if row["estimate"] is not None}
    errors = {
        key: row["live"] - estimates[key]
        for row in sorted(rows, key=lambda row: row["as_of"])
        if row["live"] is not None and (key := (row["live_as_of"], row["live_version"])) in estimates
    }
    return list(errors.values())


def _night(row: Mapping[str, Any], broken: Collection[datetime]) -> Night:
    is_own = row["live_version"] == row["model_version"] and row["live_as_of"] not in broken
    observed = _read(row, "observed") if is_own else None
    partial = None if row.get("partial_as_of") in broken else _figure(row, "partial", is_estimate=False)
    return Night(
        as_of=row["as_of"].astimezone(UTC),
        model_version=row["model_version"],
        psi_max=row["psi_max"],
        column=row["worst"],
        over=row["is_over"],
        importance=row["importance_over"],
        faults=tuple(row["faults"].split(SEPARATOR)) if row["faults"] else (),
        is_seasonal=row["is_seasonal"],
        live=_figure(row, "live", is_estimate=False) if is_own else None,
        # An estimate that is blind is kept, to learn how far it is off; nothing is decided by it.
        estimate=None if row["blind"] else _figure(row, "estimate", is_estimate=True),
        reliability=Reliability(row["predicted"], *observed) if observed else None,
        partial=partial and replace(partial, is_partial=True),
        late=row.get("late") or "",
    )


def _figure(row: Mapping[str, Any], name: str, *, is_estimate: bool) -> Live | None:
    figure, promised = _read(row, name), _read(row, "promised")
    if figure is None or promised is None:
        return None
    return Live(row["metric"], *figure, *promised, is_higher_better=row["is_higher_better"], is_estimate=is_estimate)


def _names(name: str) -> tuple[str, ...]:
    return name, f"{name}_low", f"{name}_high"


def _ends(name: str, values: tuple[float, float, float] | None) -> dict[str, float | None]:
    return dict(zip(_names(name), values or (None, None, None), strict=True))


def _read(row: Mapping[str, Any], name: str) -> tuple[float, float, float] | None:
    value, low, high = (row.get(one) for one in _names(name))
    return None if value is None or low is None or high is None else (float(value), float(low), float(high))
