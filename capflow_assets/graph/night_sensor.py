"""The sensor that runs customers' nights: landing and tables, then scoring, delivery and health, without training.

A tick costs as much as customers are due, not as there are. ``admit`` says which of their jobs start; what starts goes
into Dagster's queue, never more than there are free slots. Jobs that wait stay out of it; why and until when is in the
cursor, for ``capflow status --night``.

The first half of a night is one run of all tables. The second is one run of every model that the customer has and whose
tables are whole. A run that was killed is tried again; one that failed is not: its reason is there to be read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import inf
from typing import TYPE_CHECKING

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.night_settings import DeclaredNight, declared_night
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.launch import asset_edges, upstream
from capflow_assets.graph.night_cursor import Active, Cursor
from capflow_assets.graph.night_history import DAY, KIND, OF, capacity_of, costs_of, night_keys
from capflow_assets.graph.night_runs import (
    CANCELLED,
    FIRST,
    KILLED,
    LAST,
    LONGEST,
    MEMORY,
    OVERDUE,
    POOL,
    SECONDS,
    UNDER_WAY,
    UNTIL,
    WHY,
    HalfNight,
    halves,
    in_flight,
    runs_of_nights,
)
from capflow_assets.graph.partitions import CUSTOMERS, partition_signs
from capflow_assets.nights.jobs import SCORING, TABLES, Job, Running

if TYPE_CHECKING:
    from capflow_assets.nights.admission import Admission, Start

NAME = "nights"
INTERVAL_SECONDS = 15
# TOMLs that a tick reads where many have changed; it has 60 seconds.
READ_A_TICK = 500
# More than there can be customers.
PLACES_A_DAY = 10**7
# How often a half of a night is begun whose process was killed.
MOST_TRIES = 3
# A run that takes so many times what it should, and at least so long, is ended.
LONGEST_TIMES, LONGEST_SECONDS = 8, 3600


def present() -> float:
    """The present moment, in seconds since 1970."""
    return datetime.now(UTC).timestamp()


def nights_sensor(
    stages: Stages, deploy: Callable[[], Deployment], clock: Callable[[], float] = present
) -> dg.SensorDefinition:
    """The sensor over the nights of all customers that have one in their TOML; ``clock`` says what time it is."""
    keys = night_keys(stages)
    targets = [dg.AssetKey(key.split("/")) for half in keys.values() for key in half]

    @dg.sensor(
        name=NAME,
        target=dg.AssetSelection.assets(*targets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs each customer's night as [night] of its TOML says, as many at once as there is room for.",
    )
    def nights(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = Cursor.parse(context.cursor)
        tick = Tick(deploy(), context.instance, cursor, clock())
        tick.look()
        requests = tick.decide()
        for line in tick.log:
            context.log.warning(line)
        words = f"{len(cursor.active):,} nights are under way, {len(cursor.waits):,} jobs wait"
        return dg.SensorResult(
            run_requests=requests,
            cursor=cursor.text(),
            skip_reason=None if requests else words if cursor.active else "nobody is due",
        )

    return nights


@dataclass
class Tick:
    """One look at all that is due, and what is started of it."""

    deployment: Deployment
    instance: dg.DagsterInstance
    cursor: Cursor
    now: float

    def __post_init__(self) -> None:
        self.log: list[str] = []
        self.keys = night_keys(self.deployment.stages)
        self.signs = partition_signs(self.instance)

    def look(self) -> None:
        """Read the TOMLs that have changed, and begin the nights that are due."""
        self.cursor.forget_others(self.signs)
        read = 0
        for name in self.signs:
            stamp = self._stamp(name)
            before = self.cursor.due.get(name)
            if not stamp:
                self.cursor.miss(name)
            elif (before is None or before.stamp != stamp) and read < READ_A_TICK:
                read += 1
                declared, refusal = self._declared(name)
                self.cursor.declare(name, stamp, declared, refusal, self.now)
        for name, entry in self.cursor.due.items():
            # A night that is still under way is finished first.
            if entry.next_start <= self.now and name not in self.cursor.active:
                declared, _ = self._declared(name)
                if declared is not None:
                    self.cursor.begin(name, declared, self.now)

    def decide(self) -> list[dg.RunRequest]:
        """Finish the nights that are over, and start what ``admit`` says of the others."""
        active = self.cursor.active
        nights = {name: night.day for name, night in active.items()}
        standing = halves(self.instance, runs_of_nights(self.instance, nights.values()), nights, self.keys)
        pending: list[Job] = []
        selections: dict[str, list[str]] = {}
        from capflow_assets.graph.night_planning import pools_of  # with numpy

        pools = pools_of(self.deployment.stages) if active else {}
        order = self.instance.get_dynamic_partitions(str(CUSTOMERS.name)) if active else []
        places = {name: place for place, name in enumerate(order)}
        self.cursor.waits = {}
        for name in list(active):
            job, keys = self._next_job(name, active[name], standing, pools, places)
            if job is not None:
                pending.append(job)
                selections[job.key] = keys
        if not pending:
            return []
        flying = in_flight(self.instance, places)
        admission = self._admit(pending, [running for _, running in flying])
        self._tell(admission, [record for record, _ in flying])
        return [self._request(start, selections, standing) for start in admission.starts]

    def _next_job(
        self,
        name: str,
        night: Active,
        standing: Mapping[tuple[str, str], HalfNight],
        pools: Mapping[str, str],
        places: Mapping[str, int],
    ) -> tuple[Job | None, list[str]]:
        """The job that a night needs next and its assets; none while it runs, and the night is over after its last."""
        kind, since, keys, place = TABLES, night.start, self.keys[TABLES], _place(places.get(name), night.day)
        tables, scoring = standing.get((name, TABLES)), standing.get((name, SCORING))
        if tables is not None and not _is_to_do(tables):
            kind, since = SCORING, tables.ended or night.start
            is_next = tables.state != UNDER_WAY and (scoring is None or _is_to_do(scoring))
            keys = self._scoring_keys(name, tables) if is_next else []
            place = -1 if tables.failures else place
            is_over = tables.state != UNDER_WAY and (scoring is None or scoring.state != UNDER_WAY)
            is_over = is_over and name not in self.cursor.waits
            if not keys and is_over:
                del self.cursor.active[name]
        if not keys:
            return None, []
        deadline = night.deadline or inf
        return Job(f"{name}/{night.day}/{kind}", name, kind, pools[kind], since, deadline, night.vertical, place), keys

    def _scoring_keys(self, name: str, tables: HalfNight) -> list[str]:
        """The assets after the tables of every model that the customer has and whose tables are whole.

        Where its TOML has gone bad since, none, and the night waits until it is mended.
        """
        if tables.state in (KILLED, CANCELLED, OVERDUE) or "customer" in tables.failures:
            return []
        try:
            has_model = self.deployment.customer(name).has_model
        except CapflowError as error:
            self.cursor.waits[name] = (SCORING, str(error), 0.0)
            return []
        edges, broken = asset_edges(self.deployment.stages), set(tables.failures)
        return [
            key for key in self.keys[SCORING] if has_model(key.split("/")[1]) and not upstream(edges, [key]) & broken
        ]

    def _admit(self, pending: Sequence[Job], running: Sequence[Running]) -> "Admission":
        verticals = {job.customer: job.vertical for job in pending}
        history = costs_of(self.deployment.stages, self.instance, verticals, self.now)
        from capflow_assets.nights.admission import admit

        return admit(pending, running, capacity_of(self.instance), history, self.now)

    def _tell(self, admission: "Admission", flying: Sequence[dg.RunRecord]) -> None:
        """Keep why and until when jobs wait, and write it on runs that wait in Dagster's queue."""
        for wait in admission.waits:
            until = 0.0 if wait.until == inf else round(wait.until)
            self.cursor.waits[wait.job.customer] = (wait.job.kind, wait.words(), until)
        for record in flying:
            run = record.dagster_run
            if run.status == dg.DagsterRunStatus.QUEUED and KIND in run.tags and WHY not in run.tags:
                why = f"it is in Dagster's queue, beside {len(flying) - 1:,} other runs"
                self.instance.add_run_tags(run.run_id, {WHY: why})

    def _request(
        self, start: "Start", selections: Mapping[str, list[str]], standing: Mapping[tuple[str, str], HalfNight]
    ) -> dg.RunRequest:
        first, last = start.jobs[0], start.jobs[-1]
        begun = [standing.get((job.customer, job.kind)) for job in start.jobs]
        tries = max(half.tries if half else 0 for half in begun)
        chosen = {key for job in start.jobs for key in selections[job.key]}
        day = self.cursor.active[first.customer].day
        tags = {
            DAY: day,
            KIND: first.kind,
            OF: ",".join(job.customer for job in start.jobs),
            POOL: first.pool,
            SECONDS: f"{start.seconds:.0f}",
            MEMORY: f"{start.memory_gib:.2f}",
            UNTIL: datetime.fromtimestamp(self.now + start.seconds, UTC).isoformat(timespec="seconds"),
            LONGEST: str(int(max(LONGEST_SECONDS, LONGEST_TIMES * start.seconds))),
        }
        if len(start.jobs) > 1:
            tags |= {FIRST: first.customer, LAST: last.customer}
        return dg.RunRequest(
            run_key=f"night:{day}:{first.kind}:{first.customer}:{last.customer}:{tries}",
            partition_key=first.customer if len(start.jobs) == 1 else None,
            asset_selection=[dg.AssetKey(key.split("/")) for key in self.keys[first.kind] if key in chosen],
            tags=tags,
        )

    def _stamp(self, name: str) -> str:
        """What tells a TOML from another writing of it; blank where there is none."""
        try:
            state = (self.deployment.home.customers / f"{name}.toml").stat()
        except OSError:
            return ""
        return f"{state.st_mtime_ns}.{state.st_size}.{state.st_ino}"

    def _declared(self, name: str) -> tuple[DeclaredNight | None, str]:
        """What a customer's TOML says of its night, or why that cannot be read."""
        file = self.deployment.home.customers / f"{name}.toml"
        try:
            return declared_night(file.read_text(encoding="utf-8-sig"), str(file)), ""
        except (CapflowError, OSError, UnicodeDecodeError) as error:
            self.log.append(f"{name}: no night: {error}")
            return None, str(error)


def _place(partition: int | None, day: str) -> int:
    """Where a customer stands, so that only partitions next to each other, of nights of one day, are neighbours."""
    return -1 if partition is None else partition + PLACES_A_DAY * date.fromisoformat(day).toordinal()


def _is_to_do(half: HalfNight) -> bool:
    """Whether a half of a night that was begun is to be begun again: it was killed, and not too often."""
    return half.state == KILLED and half.tries < MOST_TRIES
