"""``capflow …`` for who is champion: promote, rollback, freeze, thaw; of one model, a customer, a vertical or all.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import HomeOption, ReasonOption, YesOption, names, opened, say, touches

if TYPE_CHECKING:
    from capflow_assets.stores.registry_draft import Action

app = typer.Typer()

CustomerChoice = Annotated[str | None, typer.Argument(help="The customer's name.")]
ModelChoice = Annotated[str | None, typer.Argument(help=r"The model's name. \[default: all models]")]
VerticalOption = Annotated[str, typer.Option("--vertical", help="All customers of this vertical.")]
AllOption = Annotated[bool, typer.Option("--all", help="All customers.")]
ModelsOption = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="With --vertical or --all: this model only; may be repeated.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only list what would change.")]
# Changes that are listed; the others are counted.
MOST_LISTED = 40


@app.command()
def promote(
    context: typer.Context,
    customer: CustomerChoice = None,
    model: ModelChoice = None,
    version: Annotated[int | None, typer.Option(min=1, help=r"A version. \[default: the challenger]")] = None,
    vertical: VerticalOption = "",
    is_all: AllOption = False,
    models: ModelsOption = None,
    reason: ReasonOption = "promoted by hand",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Make a version the champion; of a customer, a vertical or all, every challenger."""
    if not (customer and model) or dry_run:
        if version is not None:
            raise typer.BadParameter("--version is of one customer and model, and not for --dry-run")
        return _many(context, home, "promote", customer, model, vertical, is_all, models, reason, dry_run, yes)
    _refuse_both(vertical, is_all, models)
    names(context, home, [customer], model)
    from capflow_assets.graph.decisions import promote as decide

    with opened(context, home) as (deployment, instance):
        decision = decide(deployment, instance, customer, model, version, reason)
        touches(deployment, f"{customer}.{model}: {decision.before}")
        typer.echo(f"version {decision.champion} of {customer}.{model} is the champion; next: {decision.next}")
        if decision.warning:
            say(decision.warning)
    return None


@app.command()
def rollback(
    context: typer.Context,
    customer: CustomerChoice = None,
    model: ModelChoice = None,
    vertical: VerticalOption = "",
    is_all: AllOption = False,
    models: ModelsOption = None,
    reason: ReasonOption = "rolled back by hand",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Make the champion before the present one champion again; the first one gives way to none."""
    if not (customer and model) or dry_run:
        return _many(context, home, "rollback", customer, model, vertical, is_all, models, reason, dry_run, yes)
    _refuse_both(vertical, is_all, models)
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
    return None


@app.command()
def freeze(
    context: typer.Context,
    customer: CustomerChoice = None,
    model: ModelChoice = None,
    off: Annotated[bool, typer.Option("--off", help="As thaw: let trainings promote again.")] = False,
    vertical: VerticalOption = "",
    is_all: AllOption = False,
    models: ModelsOption = None,
    reason: ReasonOption = "frozen by hand",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Keep the present champion whatever a training finds."""
    if customer and model and not dry_run:
        _refuse_both(vertical, is_all, models)
        return _freeze_one(context, home, customer, model, reason, off)
    action: Action = "thaw" if off else "freeze"
    return _many(context, home, action, customer, model, vertical, is_all, models, reason, dry_run, yes)


@app.command()
def thaw(
    context: typer.Context,
    customer: CustomerChoice = None,
    model: ModelChoice = None,
    vertical: VerticalOption = "",
    is_all: AllOption = False,
    models: ModelsOption = None,
    reason: ReasonOption = "thawed by hand",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Let trainings promote again what was frozen."""
    return freeze(context, customer, model, True, vertical, is_all, models, reason, dry_run, yes, home)


def _freeze_one(context: typer.Context, home: Path | None, customer: str, model: str, reason: str, off: bool) -> None:
    names(context, home, [customer], model)
    from capflow_assets.graph.many_decisions import freeze_one

    with opened(context, home) as (deployment, instance):
        freeze_one(deployment, instance, customer, model, "thaw" if off else "freeze", reason)
        touches(deployment, f"{customer}.{model}: trainings {'may' if off else 'may not'} promote")
    typer.echo(f"{customer}.{model} is {'no longer ' if off else ''}frozen")


def _refuse_both(vertical: str, is_all: bool, models: list[str] | None) -> None:
    if vertical or is_all or models:
        raise typer.BadParameter("a customer and a model exclude --vertical, --all and --model")


def _many(
    context: typer.Context,
    home: Path | None,
    action: Action,
    customer: str | None,
    model: str | None,
    vertical: str,
    is_all: bool,
    models: list[str] | None,
    reason: str,
    dry_run: bool,
    yes: bool,
) -> None:
    """List what an action would change, and once a person says so carry it out."""
    named = [*([model] if model else []), *(models or [])]
    for name in (*named, None):
        names(context, home, [customer] if customer else [], name)
    chosen_ways = bool(customer) + bool(vertical) + is_all
    if chosen_ways > 1:
        raise typer.BadParameter("a customer, --vertical and --all exclude each other: say one of them")
    if not chosen_ways:
        raise typer.BadParameter("name a customer, or --vertical, or --all")
    from capflow_assets.graph.decision_records import DONE
    from capflow_assets.graph.many_decisions import Chosen, carry_out, plan, summary

    chosen = Chosen((customer,) if customer else (), vertical, is_all, tuple(named))
    with opened(context, home) as (deployment, instance):
        changes = plan(deployment, chosen, action, reason)
        for change in changes[:MOST_LISTED]:
            typer.echo(change.words(action))
        if len(changes) > MOST_LISTED:
            typer.echo(f"and {len(changes) - MOST_LISTED:,} more")
        typer.echo(summary(changes, is_planned=True))
        pairs = [(change.customer, change.model) for change in changes if change.is_made]
        if dry_run or not pairs:
            return
        touches(deployment, f"{action} of {len(pairs):,} models")
        if not yes:
            typer.confirm("Do it?", abort=True)
        done = carry_out(deployment, instance, pairs, action, reason)
        for change in done:
            if change.problem:
                say(change.words(action))
        typer.echo(f"{DONE[action]}: {summary(done)}")
