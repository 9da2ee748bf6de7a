"""Tells people of what goes wrong, as ``{home}/alerts.toml`` says; without that file it does nothing."""

import json
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import asdict, dataclass, field

import dagster as dg

from capflow_assets.alerts.channels import send
from capflow_assets.alerts.news import Alarm, message_of, told_now
from capflow_assets.alerts.settings import DAGSTER_URL, FILE, read_rules
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.alarms import OF_MODELS, alarms_of_customers, alarms_of_models
from capflow_assets.graph.model_troubles import keys_of_troubles
from capflow_assets.graph.newest import recorded_since

EVERY_SECONDS = 60
SECONDS_A_TICK = 0.8


@dataclass
class Memory:
    """What the sensor remembers.

    The signs of what each rule was told, by key; whose models come next in turn; the newest record that was seen, and
    the customers with newer ones than they were last looked at, who come before their turn.
    """

    signs: dict[str, dict[str, str]] = field(default_factory=dict)
    next_customer: str = ""
    seen: int = 0
    changed: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str | None) -> "Memory":
        """The cursor of a tick before; earlier releases kept nothing but what each rule was told."""
        content = json.loads(text) if text else {}
        is_ours = isinstance(content.get("next_customer"), str)
        return cls(**content) if is_ours else cls(content)

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps(asdict(self))

    def waiting(self, rule: str, customers: Collection[str]) -> dict[str, str]:
        """What a rule knows of models that were not looked at, those of ``customers``: neither over nor new."""
        known = self.signs.get(rule, {})
        return {key: sign for key, sign in known.items() if _is_of_models(key) and key.split("|")[1] in customers}


def _is_of_models(key: str) -> bool:
    return key.split("|")[0] in OF_MODELS


def _models_in_turn(
    deployment: Deployment, instance: dg.DagsterInstance, memory: Memory, url: str, seconds: float
) -> tuple[list[Alarm], list[str]]:
    """The troubles of models, and the customers that are left.

    Looked at are those of whom something was recorded, then the others from the customer whose turn it is.
    """
    until = time.monotonic() + seconds
    names = sorted(deployment.customers())
    news, memory.seen = recorded_since(instance, keys_of_troubles(deployment.stages), memory.seen)
    first = [name for name in names if name in news.union(memory.changed)]
    turn = bisect_left(names, memory.next_customer)
    in_turn = [name for name in (*names[turn:], *names[:turn]) if name not in first]
    left, alarms = [*first, *in_turn], []
    with closing(alarms_of_models(deployment, instance, tuple(left), url)) as looks:
        for customer, own in looks:
            alarms += own
            left = left[left.index(customer) + 1 :]
            if time.monotonic() > until:  # asked after each, so that every tick comes further
                break
        else:
            left = []
    memory.changed = [name for name in first if name in left]
    memory.next_customer = next((name for name in in_turn if name in left), "")
    return alarms, left


def alert_sensor(deploy: Callable[[], Deployment]) -> dg.SensorDefinition:
    """The sensor that looks every minute and tells each rule what is new to it.

    What each rule was told is the sensor's cursor. A rule whose message could not be sent is told at the next look.
    Models are looked at for a second a tick, first those of whom something was recorded since, and the next tick goes
    on with the next customer: files of champions that have changed are read, those of thousands at the first look.
    """

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells by e-mail, chat or PagerDuty what goes wrong, as alerts.toml in the home says.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        deployment = deploy()
        if not (deployment.home.root / FILE).exists():
            return dg.SkipReason(f"no {FILE} in the home: nobody is to be told")
        memory = Memory.parse(context.cursor)
        try:
            rules = read_rules(deployment.home.root, deployment.customers())
        except CapflowError as error:
            context.log.error(str(error))
            return dg.SkipReason(str(error))
        url = os.environ.get(DAGSTER_URL, "").rstrip("/")
        alarms = alarms_of_customers(deployment, context.instance, url)
        of_models, left = _models_in_turn(deployment, context.instance, memory, url, SECONDS_A_TICK)
        alarms += of_models
        done = [f"{len(left):,} customers' models are looked at in the next ticks"] if left else []
        for rule in rules:
            waiting = memory.waiting(rule.name, left)
            known = {key: sign for key, sign in memory.signs.get(rule.name, {}).items() if key not in waiting}
            message = message_of(rule, alarms, known)
            if message is None:
                continue
            try:
                send(rule, message)
            except CapflowError as error:
                context.log.error(str(error))
                done.append(str(error).splitlines()[0])
                continue
            memory.signs[rule.name] = told_now(rule, alarms) | waiting
            done.append(f"told {rule.name}: {message.title}")
        names = {rule.name for rule in rules}
        memory.signs = {name: known for name, known in memory.signs.items() if name in names}
        context.update_cursor(memory.text())
        return dg.SkipReason("; ".join(done) or "nothing new")

    return alerts
