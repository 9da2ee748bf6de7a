"""``capflow alerts``: what is wrong now, and who is told of it.

Belongs here: the command, as ``cli.commands`` says. Does not belong here: work; it is in ``alerts`` and ``graph``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from capflow_assets.cli.options import HomeOption, TextFormat, looked_at

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
    from capflow_assets.alerts.channels import send
    from capflow_assets.alerts.news import Alarm, Message
    from capflow_assets.alerts.settings import FILE, read_rules
    from capflow_assets.cli.terminal import print_rows
    from capflow_assets.errors import NotFoundError
    from capflow_assets.graph.alarms import current_alarms

    with looked_at(context, home) as (deployment, instance):
        rules = {rule.name: rule for rule in read_rules(deployment.home.root, deployment.customers())}
        if test is not None:
            if test not in rules:
                raise NotFoundError.among("alert", test, rules, do=f"name it in {deployment.home.root / FILE}")
            send(rules[test], Message(test, (Alarm("customer failed", "nobody", "", "this is a trial"),), ()))
            typer.echo(f"sent a trial message by {test}")
            return
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
