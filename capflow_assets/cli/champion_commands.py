"""``capflow …`` for who is champion: promote, rollback, freeze.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from capflow_assets.cli.options import (
    CustomerArgument,
    HomeOption,
    ModelArgument,
    ReasonOption,
    names,
    opened,
    say,
    touches,
)

app = typer.Typer()


@app.command()
def promote(
    context: typer.Context,
    customer: CustomerArgument,
    model: ModelArgument,
    version: Annotated[int | None, typer.Option(min=1, help=r"A version. \[default: the challenger]")] = None,
    reason: ReasonOption = "promoted by hand",
    home: HomeOption = None,
) -> None:
    """Make a version the champion."""
    names(context, home, [customer], model)
    from capflow_assets.graph.decisions import promote as decide

    with opened(context, home) as (deployment, instance):
        decision = decide(deployment, instance, customer, model, version, reason)
        touches(deployment, f"{customer}.{model}: {decision.before}")
        typer.echo(f"version {decision.champion} of {customer}.{model} is the champion; next: {decision.next}")
        if decision.warning:
            say(decision.warning)


@app.command()
def rollback(
    context: typer.Context,
    customer: CustomerArgument,
    model: ModelArgument,
    reason: ReasonOption = "rolled back by hand",
    home: HomeOption = None,
) -> None:
    """Make the champion before the present one champion again; the first one gives way to none."""
    names(context, home, [customer], model)
    from capflow_assets.graph.decisions import rollback as decide

    name = f"{customer}.{model}"
    with opened(context, home) as (deployment, instance):
        decision = decide(deployment, instance, customer, model, reason)
        touches(deployment, f"{name}: {decision.before}")
        if decision.champion is None:
            typer.echo(f"{name} has no champion now, and is not scored; the last predictions stay as they are")
        else:
            typer.echo(f"version {decision.champion} of {name} is the champion again; next: {decision.next}")
        if decision.warning:
            say(decision.warning)


@app.command()
def freeze(
    context: typer.Context,
    customer: CustomerArgument,
    model: ModelArgument,
    off: Annotated[bool, typer.Option("--off", help="Let trainings promote again.")] = False,
    home: HomeOption = None,
) -> None:
    """Keep the present champion whatever a training finds."""
    names(context, home, [customer], model)
    with opened(context, home) as (deployment, _):
        deployment.require(customer, model)
        deployment.registry.freeze(customer, model, frozen=not off)
        touches(deployment, f"{customer}.{model}: trainings {'may' if off else 'may not'} promote")
    typer.echo(f"{customer}.{model} is {'no longer ' if off else ''}frozen")
