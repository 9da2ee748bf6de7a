"""The sensor that retrains a customer's model when its health says so: k of the last n scorings over the threshold.

It reads only health materializations that are newer than its cursor, so a tick costs as much as the news, not as the
fleet. The policy itself is pure and lives in ``monitoring/retraining.py``.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.model_assets import PARTS
from capflow_assets.graph.newest import plain
from capflow_assets.monitoring.retraining import HealthPoint, RetrainingRequest, wants_retraining

# Of each model. A tick has 60 seconds.
NEWS_A_TICK = 200
RUNS_A_TICK = 20
# How many materializations of one customer's health are looked at to find its last n scorings.
HISTORY = 100


@dataclass
class Cursor:
    """What the sensor remembers: the last event it read for each model, and when it last asked for whom."""

    read: dict[str, str | None] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor that an earlier tick left."""
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps({"read": self.read, "asked": self.asked})


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
    events = [record.asset_materialization for record in reversed(records)]
    metadata = [plain(event.metadata) for event in events if event is not None]
    return [_point(values) for values in metadata if "psi_max" in values]


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
