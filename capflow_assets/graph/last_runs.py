"""What ran for each customer in the last day: done, failed, running or waiting, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from capflow_assets.graph.decision_records import BY_HAND
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.night_runs import WHY
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.records import PARTITION, RANGE

RANGE_END = "dagster/asset_partition_range_end"
NIGHT = timedelta(hours=24)
MOST_RUNS = 5_000
RUNS_A_PAGE = 500
# Failures whose words are read of the event log; those of the others are a click away.
MOST_EXPLAINED = 30
MOST_CHARACTERS = 400
WAITING, RUNNING, FAILED, DONE = "waits", "running", "failed", "done"
STATES = {
    dg.DagsterRunStatus.QUEUED: WAITING,
    dg.DagsterRunStatus.NOT_STARTED: WAITING,
    dg.DagsterRunStatus.STARTING: RUNNING,
    dg.DagsterRunStatus.STARTED: RUNNING,
    dg.DagsterRunStatus.CANCELING: RUNNING,
    dg.DagsterRunStatus.SUCCESS: DONE,
    dg.DagsterRunStatus.FAILURE: FAILED,
    dg.DagsterRunStatus.CANCELED: FAILED,
}
# What a person decided is kept as a run in which nothing ran.
DECISIONS = frozenset(f"capflow {action}" for action in BY_HAND)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of Dagster's for one customer. ``seconds`` is None while it has not ended."""

    run_id: str
    state: str
    began: datetime | None
    seconds: float | None
    words: str = ""


@dataclass
class Night:
    """What ran for one customer, the newest first."""

    customer: str
    runs: list[Run] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The night in a word: failed where anything did since the last time that all went well."""
        states = [run.state for run in self.runs]
        for state in (RUNNING, WAITING, FAILED):
            if state in states:
                return state
        return DONE if states else "nothing ran"

    @property
    def first_of_state(self) -> Run | None:
        """The newest run that made the night what it is."""
        return next((run for run in self.runs if run.state == self.state), None)

    @property
    def seconds(self) -> float:
        """How long its runs took together."""
        return sum(run.seconds or 0.0 for run in self.runs)


def last_nights(instance: dg.DagsterInstance, customers: Sequence[str], now: datetime | None = None) -> list[Night]:
    """The last day of each customer, from the runs that were created in it."""
    nights = {name: Night(name) for name in customers}
    order = list(instance.get_dynamic_partitions(str(CUSTOMERS.name)))
    since = (now or datetime.now(UTC)) - NIGHT
    explained = 0
    for record in _records(instance, since):
        if record.dagster_run.tags.get(COMMAND) in DECISIONS:
            continue
        state = STATES.get(record.dagster_run.status, RUNNING)
        words = record.dagster_run.tags.get(WHY, "")
        if state == FAILED and explained < MOST_EXPLAINED:
            words, explained = _why(instance, record.dagster_run.run_id), explained + 1
        run = Run(record.dagster_run.run_id, state, _moment(record.start_time), _seconds(record), words)
        for name in _customers(record.dagster_run.tags, order):
            if name in nights:
                nights[name].runs.append(run)
    return list(nights.values())


def _records(instance: dg.DagsterInstance, since: datetime) -> Iterator[dg.RunRecord]:
    """The runs of the last day, the newest first."""
    cursor = None
    for _ in range(MOST_RUNS // RUNS_A_PAGE):
        filters = dg.RunsFilter(created_after=since)
        page = instance.get_run_records(filters, limit=RUNS_A_PAGE, cursor=cursor)
        yield from page
        if len(page) < RUNS_A_PAGE:
            return
        cursor = page[-1].dagster_run.run_id


def _customers(tags: Mapping[str, str], order: Sequence[str]) -> Sequence[str]:
    """The customers of a run: one, or a stretch of partitions in their order."""
    if PARTITION in tags:
        return (tags[PARTITION],)
    first, last = tags.get(RANGE), tags.get(RANGE_END)
    if first in order and last in order:
        return order[order.index(first) : order.index(last) + 1]
    return ()


def _why(instance: dg.DagsterInstance, run_id: str) -> str:
    """The first failure of a run, in its own words."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    for record in instance.get_records_for_run(run_id, of_type=kinds, limit=1).records:
        event: Any = record.event_log_entry.dagster_event
        data = event.event_specific_data
        failure = getattr(data, "user_failure_data", None)
        error = getattr(data, "error", None)
        words = (failure.description if failure else None) or (error.message if error else None) or event.message or ""
        return str(words).strip()[:MOST_CHARACTERS]
    return ""


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _seconds(record: dg.RunRecord) -> float | None:
    if record.start_time is None or record.end_time is None:
        return None
    return record.end_time - record.start_time
