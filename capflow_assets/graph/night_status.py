"""How the last night of each customer went, or goes, as plain rows for the CLI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.graph.night_cursor import Cursor
from capflow_assets.graph.night_history import night_keys
from capflow_assets.graph.night_runs import (
    CANCELLED,
    DONE,
    FAILED,
    KILLED,
    OVERDUE,
    UNDER_WAY,
    HalfNight,
    halves,
    runs_of_nights,
)
from capflow_assets.graph.night_sensor import NAME
from capflow_assets.nights.jobs import SCORING, TABLES

RUN = "run_id"
COLUMNS = ("customer", "night", "state", "part", "why", "until", "ended", "late_minutes")
WAITS, LATE, REFUSED, NOT_BEGUN = "waits", "late", "refused", "not begun"
WORDS_OF_END = {
    KILLED: "its process was killed, and tried again in vain",
    CANCELLED: "its run was cancelled",
    OVERDUE: "it had not ended after many times the time it should take",
}


def sensor_cursor(instance: dg.DagsterInstance) -> str | None:
    """What the sensor of nights remembers; None before its first look, or in a home without a daemon."""
    if instance.schedule_storage is None:
        return None
    for state in instance.all_instigator_state():
        if state.instigator_name == NAME and state.instigator_data is not None:
            cursor: str | None = getattr(state.instigator_data, "cursor", None)
            return cursor
    return None


def night_rows(
    stages: Stages, instance: dg.DagsterInstance, cursor_text: str | None, now: float, customers: Sequence[str]
) -> list[dict[str, Any]]:
    """One row for each customer that has a night: done, late, failed, running, waits (why, until when) or not begun.

    ``until`` and ``ended`` are ISO times in UTC; ``late_minutes`` counts from the deadline, of a night that is not over
    until ``now``; ``run_id`` is that of the run that ``state`` is about, None where there is none.
    """
    cursor = Cursor.parse(cursor_text)
    wanted = set(customers)
    due = {name: entry for name, entry in cursor.due.items() if name in wanted and _has_night(name, cursor)}
    nights = {name: entry.last_day for name, entry in due.items() if entry.last_day}
    standing = halves(instance, runs_of_nights(instance, nights.values()), nights, night_keys(stages))
    return [_row(name, cursor, standing, now) for name in sorted(due)]


def _has_night(name: str, cursor: Cursor) -> bool:
    entry = cursor.due[name]
    return bool(entry.last_day or entry.refusal)


def _row(name: str, cursor: Cursor, standing: Mapping[tuple[str, str], HalfNight], now: float) -> dict[str, Any]:
    entry = cursor.due[name]
    parts = [(kind, standing[name, kind]) for kind in (TABLES, SCORING) if (name, kind) in standing]
    row: dict[str, Any] = dict.fromkeys((*COLUMNS, RUN)) | {"customer": name, "night": entry.last_day or None}
    if name in cursor.active:
        row |= _going_on(name, cursor, parts)
        end: float | None = now
    elif parts:
        row |= _over(parts)
        end = max((half.ended for _, half in parts if half.ended is not None), default=None)
        row["ended"] = _iso(end)
    else:
        why = entry.refusal or "its first night is the next one"
        return row | {"state": REFUSED if entry.refusal else NOT_BEGUN, "why": why, "until": _iso(entry.next_start)}
    if entry.last_deadline and end is not None and end > entry.last_deadline:
        row["late_minutes"] = round((end - entry.last_deadline) / 60)
        if row["state"] == DONE:
            row |= {"state": LATE, "why": f"{row['late_minutes']:,} min after its deadline"}
    if entry.refusal and name not in cursor.active:  # there will be no other night until it is mended
        row |= {"state": REFUSED, "why": entry.refusal}
    return row


def _going_on(name: str, cursor: Cursor, parts: Sequence[tuple[str, HalfNight]]) -> dict[str, Any]:
    """How a night stands that is not over."""
    if name in cursor.waits:
        kind, why, until = cursor.waits[name]
        return {"state": WAITS, "part": kind, "why": why, "until": _iso(until)}
    for kind, half in parts:
        if half.state == UNDER_WAY:
            return {"state": UNDER_WAY, "part": kind, "why": f"run {half.run_id[:8]}", RUN: half.run_id}
    return {"state": WAITS, "why": "it is decided at the sensor's next look"}


def _over(parts: Sequence[tuple[str, HalfNight]]) -> dict[str, Any]:
    """What became of a night that is over: the first half that did not go well, with its reasons."""
    for kind, half in parts:
        if half.state != DONE:
            why = WORDS_OF_END.get(half.state) or "; ".join(_reasons(half))
            return {"state": FAILED, "part": kind, "why": why, RUN: half.run_id}
    return {"state": DONE, "part": parts[-1][0], RUN: parts[-1][1].run_id}


def _reasons(half: HalfNight) -> Iterator[str]:
    for key, failure in half.failures.items():
        if not failure.consequence_of:
            yield f"{key}: {failure.reason}"


def _iso(moment: float | None) -> str | None:
    """A moment as people read it; None where there is none."""
    if not moment or moment == float("inf"):
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="minutes")
