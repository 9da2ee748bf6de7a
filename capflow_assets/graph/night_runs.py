"""The runs of nights as Dagster has them: which half of whose night, how it stands, and what of it failed.

What was launched is read from the runs themselves and nowhere else, so a restart neither loses a night nor doubles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from capflow_assets.graph.failures import AssetFailure, declared_failures, failures_of_step
from capflow_assets.graph.night_history import DAY, KIND, LOCAL, OF
from capflow_assets.nights.jobs import Running

POOL, SECONDS, MEMORY = "capflow/pool", "capflow/expected_seconds", "capflow/expected_gib"
UNTIL, WHY = "capflow/until", "capflow/why"
# Of a run that is not of a night, until its end.
UNKNOWN_SECONDS, UNKNOWN_GIB = 300.0, 2.0
IN_FLIGHT = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]
PARTITION, FIRST, LAST = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
UNDER_WAY, DONE, FAILED, KILLED, CANCELLED, OVERDUE = "running", "done", "failed", "killed", "cancelled", "overdue"
# After so many seconds Dagster's monitoring ends a run.
LONGEST = "dagster/max_runtime"
# Why a run failed, as Dagster writes it; of one that came to its end with a step that failed.
FAILURE_REASON, BY_STEP = "dagster/failure_reason", "STEP_FAILURE"


@dataclass(frozen=True, slots=True)
class NightRun:
    """One run of a half of some customers' night. ``ended`` is None while it is under way.

    ``failure_reason`` is blank where nobody but Dagster's monitoring saw it fail.
    """

    run_id: str
    day: str
    kind: str
    customers: tuple[str, ...]
    status: dg.DagsterRunStatus
    began: float | None
    ended: float | None
    longest: float
    failure_reason: str = ""

    @property
    def is_overdue(self) -> bool:
        """Whether it was ended because it took too long."""
        return self.began is not None and self.ended is not None and self.ended - self.began >= self.longest


@dataclass(frozen=True, slots=True)
class HalfNight:
    """How one customer's half of a night stands; ``failures`` are those of its assets, by name."""

    state: str
    run_id: str
    began: float | None
    ended: float | None
    tries: int
    failures: Mapping[str, AssetFailure]


def runs_of_nights(instance: dg.DagsterInstance, days: Iterable[str]) -> list[NightRun]:
    """The runs of nights of these local days, the oldest first."""
    wanted = sorted(set(days))
    if not wanted:
        return []
    records = instance.get_run_records(dg.RunsFilter(tags={DAY: wanted}))
    return [_night_run(record) for record in reversed(records)]


def _night_run(record: dg.RunRecord) -> NightRun:
    run = record.dagster_run
    customers = tuple(run.tags[OF].split(","))
    return NightRun(
        run.run_id,
        run.tags[DAY],
        run.tags[KIND],
        customers,
        run.status,
        record.start_time,
        record.end_time,
        float(run.tags.get(LONGEST, "inf")),
        run.tags.get(FAILURE_REASON, ""),
    )


def halves(
    instance: dg.DagsterInstance, runs: Sequence[NightRun], nights: Mapping[str, str], keys: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], HalfNight]:
    """How each half of the nights stands that customers have on a day, by customer and kind; none where nothing ran.

    ``keys`` names the assets of each kind. A run that failed by anything but a step was killed, be it after a step that
    failed: what it had not come to by then is done for nobody.
    """
    standing: dict[tuple[str, str], HalfNight] = {}
    for run in runs:
        concerned = [name for name in run.customers if nights.get(name) == run.day]
        if not concerned:
            continue
        events = _step_failures(instance, run)
        for customer in concerned:
            before = standing.get((customer, run.kind))
            tries = 1 + (before.tries if before else 0)
            failures = _failures(events, customer, keys[run.kind])
            state = _state(run, bool(events), failures)
            standing[customer, run.kind] = HalfNight(state, run.run_id, run.began, run.ended, tries, failures)
    return standing


def _step_failures(instance: dg.DagsterInstance, run: NightRun) -> list[dg.DagsterEvent]:
    if run.status != dg.DagsterRunStatus.FAILURE:
        return []
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    return [event for record in records if (event := record.event_log_entry.dagster_event) is not None]


def _failures(events: Sequence[dg.DagsterEvent], customer: str, keys: Sequence[str]) -> dict[str, AssetFailure]:
    """A customer's own failures in a run that others may share."""
    failures: dict[str, AssetFailure] = {}
    for event in events:
        declared = declared_failures(event)
        if declared is None:  # the step broke as a whole
            failures |= failures_of_step(event, customer, keys)
        else:
            failures |= {failure.key: failure for failure in declared if failure.customer == customer}
    return failures


def _state(run: NightRun, has_step_failure: bool, failures: Mapping[str, AssetFailure]) -> str:
    if run.status in IN_FLIGHT:
        return UNDER_WAY
    if run.is_overdue and run.status != dg.DagsterRunStatus.SUCCESS:
        return OVERDUE
    if run.status == dg.DagsterRunStatus.CANCELED:
        return CANCELLED
    if run.status == dg.DagsterRunStatus.FAILURE and not (has_step_failure and run.failure_reason == BY_STEP):
        return KILLED
    return FAILED if failures else DONE


def in_flight(instance: dg.DagsterInstance, places: Mapping[str, int]) -> list[tuple[dg.RunRecord, Running]]:
    """All runs that hold a slot or will: those of nights and others, with whose they are and what they should take."""
    now = datetime.now(UTC).timestamp()
    return [
        (record, _running(record, places, now))
        for record in instance.get_run_records(dg.RunsFilter(statuses=IN_FLIGHT))
    ]


def _running(record: dg.RunRecord, places: Mapping[str, int], now: float) -> Running:
    tags = record.dagster_run.tags
    return Running(
        record.dagster_run.run_id,
        _customers(tags, places),
        tags.get(POOL, LOCAL),
        record.start_time or now,
        float(tags.get(SECONDS, UNKNOWN_SECONDS)),
        float(tags.get(MEMORY, UNKNOWN_GIB)),
    )


def _customers(tags: Mapping[str, str], places: Mapping[str, int]) -> tuple[str, ...]:
    if OF in tags:
        return tuple(tags[OF].split(","))
    if PARTITION in tags:
        return (tags[PARTITION],)
    if FIRST in tags and tags[FIRST] in places and tags[LAST] in places:
        first, last = places[tags[FIRST]], places[tags[LAST]]
        return tuple(name for name, place in places.items() if first <= place <= last)
    return ()
