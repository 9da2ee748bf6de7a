"""Tells people of what goes wrong, as ``{home}/alerts.toml`` says; without that file it does nothing."""

import json
import os
from collections.abc import Callable

import dagster as dg

from capflow_assets.alerts.channels import send
from capflow_assets.alerts.news import message_of, told_now
from capflow_assets.alerts.settings import FILE, read_rules
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.alarms import current_alarms

EVERY_SECONDS = 300
DAGSTER_URL = "CAPFLOW_DAGSTER_URL"


def alert_sensor(deploy: Callable[[], Deployment]) -> dg.SensorDefinition:
    """The sensor that looks every five minutes and tells each rule what is new to it.

    What each rule was told is the sensor's cursor. A rule whose message could not be sent is told at the next look.
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
        told: dict[str, dict[str, str]] = json.loads(context.cursor or "{}")
        try:
            rules = read_rules(deployment.home.root, deployment.customers())
        except CapflowError as error:
            context.log.error(str(error))
            return dg.SkipReason(str(error))
        alarms = current_alarms(deployment, context.instance, os.environ.get(DAGSTER_URL, "").rstrip("/"))
        done = []
        for rule in rules:
            message = message_of(rule, alarms, told.get(rule.name, {}))
            if message is None:
                continue
            try:
                send(rule, message)
            except CapflowError as error:
                context.log.error(str(error))
                done.append(str(error).splitlines()[0])
                continue
            told[rule.name] = told_now(rule, alarms)
            done.append(f"told {rule.name}: {message.title}")
        names = {rule.name for rule in rules}
        context.update_cursor(json.dumps({name: known for name, known in told.items() if name in names}))
        return dg.SkipReason("; ".join(done) or "nothing new")

    return alerts
