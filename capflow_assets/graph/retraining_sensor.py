"""The sensor that retrains a customer's model when its health says so: k of the last n scorings over the threshold.

It reads only health materializations that are newer than its cursor, so a tick costs as much as the news, not as the
fleet. The policy itself is pure and lives in ``monitoring/retraining.py``.

A scoring whose moment had not passed when it was recorded (earlier releases took such) does not count: it would be the
newest, whatever comes after it, until then. A customer that was retired leaves nothing to one that gets its name.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.base import EventLogCursor

from capflow_assets.blueprint.stages import Stages
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.model_assets import PARTS
from capflow_assets.graph.newest import plain
from capflow_assets.graph.partitions import of_same_customers, partition_signs
from capflow_assets.monitoring.retraining import HealthPoint, RetrainingRequest, wants_retraining

# Of each model. A tick has 60 seconds.
NEWS_A_TICK = 200
RUNS_A_TICK = 20
# How many materializations of one customer's health are looked at to find its last n scorings.
HISTORY = 100


@dataclass
class Cursor:
    """What the sensor remembers: the last event it read for each model, and as of when it last asked for whom.

    ``signs`` tell the customers from others of their names.
    """

    read: dict[str, str | None] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor that a tick of this release or another left."""
        content = json.loads(text) if text else {}
        return cls(**{known.name: content[known.name] for known in fields(cls) if known.name in content})

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps({"read": self.read, "asked": self.asked, "signs": self.signs})

    def forget_others(self, signs: Mapping[str, str], now: datetime) -> None:
        """Forget what was asked for customers who are gone, and requests as of moments that have not passed yet."""
        asked = of_same_customers(self.asked, self.signs, signs)
        self.asked = {name: as_of for name, as_of in asked.items() if datetime.fromisoformat(as_of) <= now}
        self.signs = dict(signs)


def retraining_sensor(stages: Stages, deploy: Callable[[], Deployment]) -> dg.SensorDefinition:
    """The sensor over the health of every model of ``stages``."""
    models = list(stages.models)
    keys = [dg.AssetKey([part, name]) for name in models for part in PARTS]

    @dg.sensor(
        name="retraining",
        target=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retrains a customer's model when k of its last n scorings drifted; once, then a cool-down.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        deployment = deploy()
        cursor = Cursor.parse(context.cursor)
        cursor.forget_others(partition_signs(context.instance), datetime.now(UTC))
        requests: list[dg.RunRequest] = []
        for name in models:
            # What is left over is the next tick's.
            for customer, storage_cursor in islice(_news(context.instance, name, cursor), NEWS_A_TICK):
                if len(requests) >= RUNS_A_TICK:
                    break
                cursor.read[name] = storage_cursor
                requests += _requests(context, deployment, name, customer, cursor)
        return dg.SensorResult(
            run_requests=requests,
            cursor=cursor.text(),
            skip_reason=None if requests else "no champion has drifted often enough",
        )

    return retraining


def _news(instance: dg.DagsterInstance, model: str, cursor: Cursor) -> Iterator[tuple[str, str]]:
    """Customers whose health of a model was measured since the cursor, each with the cursor after it."""
    _step_back(instance, model, cursor)
    while True:
        batch = instance.fetch_materializations(
            dg.AssetKey(["health", model]), limit=1, cursor=cursor.read.get(model), ascending=True
        )
        for record in batch.records:
            if record.partition_key is not None:
                yield record.partition_key, batch.cursor
            else:
                cursor.read[model] = batch.cursor
        if not batch.records or not batch.has_more:
            return


def _step_back(instance: dg.DagsterInstance, model: str, cursor: Cursor) -> None:
    """Read the newest record again where the cursor is beyond it: records that went with a retired customer.

    SQLite gives their numbers to the records that follow, which would not be read.
    """
    read = cursor.read.get(model)
    if read is None:
        return
    newest = instance.fetch_materializations(dg.AssetKey(["health", model]), limit=1).records
    if not newest or newest[0].storage_id < EventLogCursor.parse(read).storage_id():
        cursor.read[model] = EventLogCursor.from_storage_id(newest[0].storage_id - 1).to_string() if newest else None


def _requests(
    context: dg.SensorEvaluationContext, deployment: Deployment, model: str, customer: str, cursor: Cursor
) -> list[dg.RunRequest]:
    name = f"{customer}.{model}"
    try:
        declared = deployment.customer(customer)
    except CapflowError as error:
        context.log.warning(f"{name}: not looked at: {error}")
        return []
    policy = declared.retraining
    last_request = cursor.asked.get(name)
    request = wants_retraining(
        history(context.instance, model, customer),
        k=policy.k,
        n=policy.n,
        cooldown_days=policy.cooldown_days,
        last_requested=datetime.fromisoformat(last_request) if last_request else None,
        zone=declared.time_zone,
    )
    if request is None:
        return []
    cursor.asked[name] = request.as_of.isoformat()
    context.log.info(f"{name}: {request.reason}")
    return [_run_request(model, customer, request)]


def history(instance: dg.DagsterInstance, model: str, customer: str) -> list[HealthPoint]:
    """The health of a customer's model as it was measured, oldest first."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(["health", model]), asset_partitions=[customer]), limit=HISTORY
    ).records
    events = [(record.timestamp, record.asset_materialization) for record in reversed(records)]
    measured = [(datetime.fromtimestamp(at, UTC), plain(event.metadata)) for at, event in events if event is not None]
    points = [(_point(metadata), at) for at, metadata in measured if "psi_max" in metadata]
    return [point for point, at in points if point.as_of <= at]


def _point(metadata: dict[str, Any]) -> HealthPoint:
    return HealthPoint(
        as_of=datetime.fromisoformat(str(metadata["as_of"])),
        model_version=int(metadata["champion"]),
        psi_max=float(metadata["psi_max"]),
        column=str(metadata["worst"]),
        over=bool(metadata["over"]),
    )


def _run_request(model: str, customer: str, request: RetrainingRequest) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"retrain:{customer}.{model}:{request.as_of.isoformat()}",
        partition_key=customer,
        asset_selection=[dg.AssetKey([part, model]) for part in PARTS],
        tags={
            "capflow/customer": customer,
            "capflow/model": model,
            "capflow/cause": "drift",
            "capflow/reason": request.reason[:1000],
        },
    )
