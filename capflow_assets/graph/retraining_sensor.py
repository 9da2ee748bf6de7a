"""The sensor that does what a model's health calls for: it trains it again or recalibrates it, each with its cause.

It reads only health materializations that are newer than its cursor, so a tick costs as much as the news, not as the
fleet. The policy itself is pure and lives in ``monitoring/policy.py``; what earlier trainings brought it reads of the
ledger (``life/retrainings.py``). A feed that is broken, a season and a person who is asked start no run: the decision
stands beside the health of the model.

A scoring whose moment had not passed when it was recorded (earlier releases took such) does not count: it would be the
newest, whatever comes after it, until then. A customer that was retired leaves nothing to one that gets its name.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import local_day_of
from capflow_assets.graph.model_assets import TRAINED_PARTS
from capflow_assets.graph.newest import plain
from capflow_assets.graph.partitions import of_same_customers, partition_signs
from capflow_assets.life import retrainings
from capflow_assets.monitoring.observations import Night
from capflow_assets.monitoring.policy import Decision, Past, Rules, decide, within_budget

# Of each model. A tick that takes more than 60 seconds is lost, and its cursor with it: the rest is the next tick's.
NEWS_A_TICK = 200
RUNS_A_TICK = 20
SECONDS_A_TICK = 4.0
# How many materializations of one customer's health are looked at to find its last n scorings.
HISTORY = 100


@dataclass
class Cursor:
    """What the sensor remembers: the last event it read for each model, and as of when it last asked for whom.

    ``signs`` tell the customers from others of their names. ``spent`` are the runs that each customer's newest night
    was given, with its local day.
    """

    read: dict[str, str | None] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    spent: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor that a tick of this release or another left."""
        content = json.loads(text) if text else {}
        return cls(**{known.name: content[known.name] for known in fields(cls) if known.name in content})

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps({known.name: getattr(self, known.name) for known in fields(self)})

    def forget_others(self, signs: Mapping[str, str], now: datetime) -> None:
        """Forget what was asked for customers who are gone, and requests as of moments that have not passed yet."""
        asked = of_same_customers(self.asked, self.signs, signs)
        self.asked = {name: as_of for name, as_of in asked.items() if datetime.fromisoformat(as_of) <= now}
        self.spent = {name: spent for name, spent in self.spent.items() if signs.get(name) == self.signs.get(name)}
        self.signs = dict(signs)

    def spent_on(self, customer: str, day: str) -> int:
        """The runs that a customer's night was given so far."""
        last_day, runs = self.spent.get(customer, ("", 0))
        return runs if last_day == day else 0

    def grant(self, wish: "Wish") -> None:
        """Remember a run that is asked for."""
        self.asked[f"{wish.customer.name}.{wish.model}"] = wish.decision.as_of.isoformat()
        self.spent[wish.customer.name] = (wish.day, self.spent_on(wish.customer.name, wish.day) + 1)


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that one model's health calls for."""

    customer: Customer
    model: str
    decision: Decision

    @property
    def day(self) -> str:
        """The local day of the night."""
        return local_day_of(self.decision.as_of, self.customer.time_zone).isoformat()


class _Customers:
    """The customers as one tick reads them: a TOML serves all of the customer's models."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._read: dict[str, Customer] = {}

    def read(self, name: str) -> Customer:
        """The customer.

        Raises:
            CapflowError: its TOML is not there, or is wrong.
        """
        if name not in self._read:
            self._read[name] = self.deployment.customer(name)
        return self._read[name]


def retraining_sensor(stages: Stages, deploy: Callable[[], Deployment]) -> dg.SensorDefinition:
    """The sensor over the health of every model of ``stages``."""
    models = list(stages.models)
    keys = [dg.AssetKey([part, name]) for name in models for part in TRAINED_PARTS]

    @dg.sensor(
        name="retraining",
        target=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains or recalibrates a model by the cause that its health shows; once, then a cool-down.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        deployment = deploy()
        cursor = Cursor.parse(context.cursor)
        cursor.forget_others(partition_signs(context.instance), datetime.now(UTC))
        wishes: list[Wish] = []
        until, customers, is_late = time.monotonic() + SECONDS_A_TICK, _Customers(deployment), False
        for name in models:
            # What is left over is the next tick's.
            for customer, storage_cursor in islice(_news(context.instance, name, cursor), NEWS_A_TICK):
                if len(wishes) >= RUNS_A_TICK:
                    break
                cursor.read[name] = storage_cursor
                wishes += _wishes(context, customers, name, customer, cursor, wishes)
                if is_late := time.monotonic() > until:  # asked after each, so that every tick comes further
                    break
            if is_late:
                break
        requests = [_run_request(wish) for wish in _granted(context, cursor, wishes)]
        return dg.SensorResult(
            run_requests=requests,
            cursor=cursor.text(),
            skip_reason=None if requests else "no champion's health calls for a run",
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
    from dagster._core.storage.event_log.base import EventLogCursor

    read = cursor.read.get(model)
    if read is None:
        return
    newest = instance.fetch_materializations(dg.AssetKey(["health", model]), limit=1).records
    if not newest or newest[0].storage_id < EventLogCursor.parse(read).storage_id():
        cursor.read[model] = EventLogCursor.from_storage_id(newest[0].storage_id - 1).to_string() if newest else None


def _wishes(
    context: dg.SensorEvaluationContext,
    customers: "_Customers",
    model: str,
    customer: str,
    cursor: Cursor,
    wishes: list[Wish],
) -> list[Wish]:
    """The run that a model's health calls for, if any; one that this tick wishes already is not wished again."""
    name = f"{customer}.{model}"
    if any((wish.customer.name, wish.model) == (customer, model) for wish in wishes):
        return []
    try:
        declared = customers.read(customer)
        trainings = retrainings.past_trainings(customers.deployment.lake, customer, model)
    except CapflowError as error:
        context.log.warning(f"{name}: not looked at: {error}")
        return []
    nights, trained_as_of = _measured(context.instance, model, customer)
    asked = cursor.asked.get(name)
    requested = [datetime.fromisoformat(asked)] if asked else []
    if by_policy := retrainings.last_by_policy(trainings):
        requested.append(by_policy)
    past = Past(trainings, max(requested, default=None), trained_as_of)
    decision = decide(nights, Rules(**declared.retraining.rules()), past, declared.time_zone)
    if decision is None or decision.action == "none":
        return []
    context.log.info(f"{name}: {decision.action}, for {decision.cause}: {decision.reason}")
    return [Wish(declared, model, decision)] if decision.may_train else []


def _granted(context: dg.SensorEvaluationContext, cursor: Cursor, wishes: list[Wish]) -> Iterator[Wish]:
    """The wishes that each customer's budget of the night allows, the most urgent first; the others come again."""
    nights = dict.fromkeys((wish.customer.name, wish.day) for wish in wishes)
    for customer, day in nights:
        of_night = [wish for wish in wishes if (wish.customer.name, wish.day) == (customer, day)]
        rules = Rules(**of_night[0].customer.retraining.rules())
        decisions = within_budget([wish.decision for wish in of_night], cursor.spent_on(customer, day), rules)
        for wish, decision in zip(of_night, decisions, strict=True):
            if decision.may_train:
                cursor.grant(wish)
                yield wish
            else:
                context.log.info(f"{customer}.{wish.model}: {decision.reason}")


def history(instance: dg.DagsterInstance, model: str, customer: str) -> list[Night]:
    """The health of a customer's model as it was measured, oldest first."""
    return _measured(instance, model, customer)[0]


def _measured(instance: dg.DagsterInstance, model: str, customer: str) -> tuple[list[Night], datetime | None]:
    """The nights of a customer's model, oldest first, and as of when the newest one's version was trained."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(["health", model]), asset_partitions=[customer]), limit=HISTORY
    ).records
    events = [(record.timestamp, record.asset_materialization) for record in reversed(records)]
    measured = [(datetime.fromtimestamp(at, UTC), plain(event.metadata)) for at, event in events if event is not None]
    known = [(_night(metadata), metadata, at) for at, metadata in measured if "psi_max" in metadata]
    passed = [(night, metadata) for night, metadata, at in known if night.as_of <= at]
    trained = passed[-1][1].get("trained_as_of") if passed else None
    return [night for night, _ in passed], datetime.fromisoformat(str(trained)) if trained else None


def _night(metadata: dict[str, Any]) -> Night:
    """A night as health recorded it; earlier releases recorded the drift alone."""
    if "night" in metadata:
        return Night.from_json(metadata["night"])
    return Night(
        as_of=datetime.fromisoformat(str(metadata["as_of"])),
        model_version=int(metadata["champion"]),
        psi_max=float(metadata["psi_max"]),
        column=str(metadata["worst"]),
        over=bool(metadata["over"]),
    )


def _run_request(wish: Wish) -> dg.RunRequest:
    customer, model, decision = wish.customer.name, wish.model, wish.decision
    return dg.RunRequest(
        run_key=f"retrain:{customer}.{model}:{decision.as_of.isoformat()}",
        partition_key=customer,
        asset_selection=[dg.AssetKey([part, model]) for part in TRAINED_PARTS],
        run_config=_config(model, decision),
        tags={
            "capflow/customer": customer,
            "capflow/model": model,
            "capflow/action": decision.action,
            "capflow/cause": decision.cause,
            "capflow/reason": decision.reason[:1000],
        },
    )


def _config(model: str, decision: Decision) -> dict[str, Any]:
    """The run's configuration: why it is, and that it only recalibrates where it does."""
    return {"ops": {f"{model}_model": {"config": {"action": decision.action, "cause": decision.cause}}}}
