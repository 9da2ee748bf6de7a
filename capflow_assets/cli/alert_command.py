"""``capflow alerts``: what is wrong now, and who is told of it.

Belongs here: the command, as ``cli.commands`` says. Does not belong here: work; it is in ``alerts`` and ``graph``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import HomeOption, TextFormat, looked_at

if TYPE_CHECKING:
    from capflow_assets.alerts.settings import AlertRule
    from capflow_assets.home.places import Home

app = typer.Typer()
COLUMNS = ("what", "customer", "subject", "reason", "told")


@app.command()
def alerts(
    context: typer.Context,
    test: Annotated[str | None, typer.Option("--test", help="Send a trial message by the alert of this name.")] = None,
    format: Annotated[TextFormat, typer.Option("--format", "-f")] = TextFormat.table,
    home: HomeOption = None,
) -> None:
    """What is wrong now, and which alerts of {home}/alerts.toml tell of it."""
    from capflow_assets.alerts.settings import FILE, read_rules
    from capflow_assets.home.places import Home

    place = Home.of(home or context.obj)
    customers = sorted(file.stem for file in place.customers.glob("*.toml"))
    rules = {rule.name: rule for rule in read_rules(place.root, customers)}
    if test is not None:
        _try(rules, test, place)
        return
    from capflow_assets.cli.terminal import print_rows
    from capflow_assets.graph.alarms import current_alarms

    with looked_at(context, home) as (deployment, instance):
        alarms = current_alarms(deployment, instance)
    rows = [
        {
            "what": one.what,
            "customer": one.customer,
            "subject": one.subject,
            "reason": one.reason,
            "told": ", ".join(name for name, rule in rules.items() if rule.wants(one.what, one.customer)),
        }
        for one in alarms
    ]
    if not rows and format is TextFormat.table:
        typer.echo("nothing is wrong" + ("" if rules else f"; there is no {FILE}, so nobody would be told"))
        return
    print_rows(rows, COLUMNS, format.value, "what is wrong, and who is told")


def _try(rules: Mapping[str, AlertRule], name: str, home: Home) -> None:
    from capflow_assets.alerts.channels import send
    from capflow_assets.alerts.news import Alarm, Message
    from capflow_assets.alerts.settings import FILE
    from capflow_assets.errors import NotFoundError

    if name not in rules:
        raise NotFoundError.among("alert", name, rules, do=f"name it in {home.root / FILE}")
    send(rules[name], Message(name, (Alarm("customer failed", "nobody", "", "this is a trial"),), ()))
    typer.echo(f"sent a trial message by {name}")
