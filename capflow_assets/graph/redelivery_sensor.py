"""The sensor that delivers again: to users whose quiet hours are over, and to destinations that were down.

A delivery says itself when it is worth to be made again (``nights.destinations``), as an observation of its asset. The
sensor reads only observations that are newer than its cursor, so a tick costs as much as the news, not as the fleet.
What has been delivered in the meantime is known by its receipt and is not sent twice. A run that was killed cannot say
when to deliver again, so the sensor remembers what it has asked for until that has ended.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.graph.cohort import AGAIN_AT
from capflow_assets.graph.delivery_assets import PART
from capflow_assets.graph.newest import plain
from capflow_assets.graph.night_runs import BY_STEP, FAILURE_REASON
from capflow_assets.graph.partitions import of_same_customers, partition_signs

NAME = "redelivery"
INTERVAL_SECONDS = 60
# Of each model. A tick has 60 seconds.
NEWS_A_TICK = 200
RUNS_A_TICK = 20
# How often a run is begun that was killed.
MOST_TRIES = 3
# Of a run: which delivery, of which moment, it was asked for. Longer than that it is not waited for.
ASKED_FOR, WAITED_FOR = "capflow/redelivery", timedelta(days=2)


@dataclass
class Cursor:
    """The last observation read of each model, when each ``customer.model`` is due, and the customers' signs.

    ``asked`` is the moment for which a run was asked that has not ended, and how often.
    """

    read: dict[str, str] = field(default_factory=dict)
    due: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor that a tick of this release or another left."""
        content = json.loads(text) if text else {}
        return cls(**{known.name: content[known.name] for known in fields(cls) if known.name in content})

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps(asdict(self))

    def forget_others(self, signs: dict[str, str]) -> None:
        """Forget what is due to customers who are gone."""
        self.due = of_same_customers(self.due, self.signs, signs)
        same = of_same_customers(dict.fromkeys(self.asked, ""), self.signs, signs)
        self.asked = {name: asked for name, asked in self.asked.items() if name in same}
        self.signs = signs

    def ripe(self, now: datetime) -> list[str]:
        """What is due by now, the longest due first."""
        due = sorted((at, name) for name, at in self.due.items() if datetime.fromisoformat(at) <= now)
        return [name for _, name in due[:RUNS_A_TICK]]


def redelivery_sensor(stages: Stages, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> dg.SensorDefinition:
    """The sensor over the deliveries of every model of ``stages``; ``clock`` says what time it is."""
    keys = {name: dg.AssetKey([PART, name]) for name in stages.models}

    @dg.sensor(
        name=NAME,
        target=dg.AssetSelection.assets(*keys.values()),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers again where quiet hours are over, or a destination that was down may be up.",
    )
    def redelivery(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = Cursor.parse(context.cursor)
        now = clock()
        cursor.forget_others(dict(partition_signs(context.instance)))
        requests = _asked_again(context.instance, cursor, now)
        for model, key in keys.items():
            for customer, at in _news(context.instance, key, model, cursor):
                if customer in cursor.signs:
                    cursor.due[f"{customer}.{model}"] = at
        for name in cursor.ripe(now):
            cursor.asked[name] = (cursor.due.pop(name), 1)
            requests.append(_request(name, *cursor.asked[name]))
        words = f"{len(cursor.due):,} deliveries wait for their moment" if cursor.due else "nothing waits"
        return dg.SensorResult(run_requests=requests, cursor=cursor.text(), skip_reason=None if requests else words)

    return redelivery


def _news(instance: dg.DagsterInstance, key: dg.AssetKey, model: str, cursor: Cursor) -> Iterator[tuple[str, str]]:
    """Customers for whom a model is to be delivered again, and when, of what was observed since the cursor."""
    if _is_beyond(instance, key, cursor.read.get(model)):
        del cursor.read[model]  # all are read again; a run that was asked for is known by its key
    batch = instance.fetch_observations(key, limit=NEWS_A_TICK, cursor=cursor.read.get(model), ascending=True)
    for record in batch.records:
        event = record.asset_observation
        at = plain(event.metadata).get(AGAIN_AT) if event else None
        if at and record.partition_key:
            yield record.partition_key, str(at)
    if batch.records:
        cursor.read[model] = batch.cursor


def _is_beyond(instance: dg.DagsterInstance, key: dg.AssetKey, read: str | None) -> bool:
    """Whether a cursor names a record that went with a retired customer: SQLite gives its number to another one."""
    from dagster._core.storage.event_log.base import EventLogCursor

    if read is None:
        return False
    newest = instance.fetch_observations(key, limit=1).records
    return not newest or newest[0].storage_id < EventLogCursor.parse(read).storage_id()


def _asked_again(instance: dg.DagsterInstance, cursor: Cursor, now: datetime) -> list[dg.RunRequest]:
    """Runs for those that were killed; those that ended otherwise, or not in time, are not waited for any more."""
    marks = {f"{name}:{at}": name for name, (at, _) in cursor.asked.items()}
    runs = instance.get_runs(dg.RunsFilter(tags={ASKED_FOR: sorted(marks)})) if marks else []
    newest = {marks[run.tags[ASKED_FOR]]: run for run in reversed(runs)}
    requests = []
    for name, (at, tries) in list(cursor.asked.items()):
        run = newest.get(name)
        is_over = run is not None and run.is_finished
        if run is not None and is_over and _was_killed(run) and tries < MOST_TRIES and name not in cursor.due:
            cursor.asked[name] = (at, tries + 1)
            requests.append(_request(name, at, tries + 1))
        elif is_over or now - datetime.fromisoformat(at) > WAITED_FOR:
            del cursor.asked[name]
    return requests


def _was_killed(run: dg.DagsterRun) -> bool:
    """Whether a run ended by anything but its steps or a person."""
    return run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(FAILURE_REASON) != BY_STEP


def _request(name: str, at: str, number: int) -> dg.RunRequest:
    customer, _, model = name.partition(".")
    again = f":{number}" if number > 1 else ""
    return dg.RunRequest(
        run_key=f"deliver:{name}:{at}{again}",
        partition_key=customer,
        asset_selection=[dg.AssetKey([PART, model])],
        tags={"capflow/customer": customer, "capflow/model": model, ASKED_FOR: f"{name}:{at}"},
    )
