"""``capflow …`` that makes something: demo, onboard, run.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph`` and ``demo``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import (
    FailOption,
    HomeOption,
    WaitOption,
    names,
    opened,
    patience,
    say,
    touches,
)

if TYPE_CHECKING:
    from capflow_assets.deployment import Deployment

app = typer.Typer()


@app.command()
def demo(context: typer.Context, home: HomeOption = None, users: int | None = None) -> None:
    """Onboard four customers, real and simulated, and materialize everything for them."""
    from capflow_assets.demo.tour import tour

    with opened(context, home) as (deployment, instance):
        ok = tour(deployment, instance, users)
    raise typer.Exit(0 if ok else 1)


@app.command()
def onboard(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The customer's TOML file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a customer of that name.")] = False,
    wait: WaitOption = None,
    fail: FailOption = False,
    home: HomeOption = None,
) -> None:
    """Check a customer's TOML, copy it into the home and add its partition."""
    from capflow_assets.graph.onboarding import onboard as bring_in

    with opened(context, home) as (deployment, instance):
        if replace:
            touches(deployment, f"{file} takes the place of the TOML of that customer")
        customer = bring_in(deployment, instance, file, replace, patience(wait, fail), say)
    typer.echo(f"onboarded {customer.name} with {', '.join(customer.tables)}; next: capflow run {customer.name}")


@app.command()
def run(
    context: typer.Context,
    customers: Annotated[list[str], typer.Argument(help="Names of onboarded customers.")],
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", help="stage/table, a stage or a glob; +NAME adds all it needs. Repeatable."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help=r"Read nothing after this day or ISO time. \[default: newest bill]")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Land all rows again, where a watermark reads newer ones.")
    ] = False,
    wait: WaitOption = None,
    fail: FailOption = False,
    home: HomeOption = None,
) -> None:
    """Materialize tables, models and predictions of customers. One customer's failure leaves the others alone.

    As of a day that is not over is as of the newest bill.
    """
    from capflow_assets.home.known_names import refuse_moment

    names(context, home, customers)
    refuse_moment(as_of)
    from capflow_assets.cli.terminal import following, print_finished
    from capflow_assets.definitions import STAGES, defs
    from capflow_assets.graph.customers_in_turn import run_in_turn
    from capflow_assets.graph.fleet import FLEET, draw_fleet
    from capflow_assets.graph.launch import select as chosen

    with opened(context, home) as (deployment, instance):
        keys = chosen(STAGES, select or [])
        chosen_customers = list(dict.fromkeys(customers))
        for name in chosen_customers:
            deployment.require(name)
            if as_of is not None and _is_not_over(deployment, name, as_of):
                say(f"{as_of} is not over for {name}: nothing after its newest bill is known")

        choices = {name: deployment.model_choice(name) for name in chosen_customers}

        def has_model(customer: str, model: str) -> bool:
            return bool(select) or choices[customer](model)

        with following({name: _assets(name, keys, has_model) for name in chosen_customers}) as watch:
            seconds = patience(wait, fail)
            finished = run_in_turn(
                defs,
                STAGES,
                instance,
                chosen_customers,
                keys,
                as_of,
                watch,
                full=full,
                wait=seconds,
                say=say,
                has_model=has_model,
            )
        if select and FLEET in keys:  # it reads of every customer, so only where it is asked for
            draw_fleet(defs, instance)
    print_finished(finished)
    raise typer.Exit(0 if all(result.ok for result in finished) else 1)


def _assets(customer: str, keys: Sequence[str], has_model: Callable[[str, str], bool]) -> int:
    """How many of the assets are of tables, or of models that the customer has."""
    models = [key.split("/") for key in keys if key.split("/")[0] in ("models", "predictions", "health", "delivery")]
    off = sum(not has_model(customer, name) for _, name in models)
    return sum(not key.startswith("fleet/") for key in keys) - off


def _is_not_over(deployment: Deployment, customer: str, as_of: str) -> bool:
    """Whether a moment has not passed yet where the customer is; where that cannot be told, its run says why."""
    from capflow_assets.errors import CapflowError
    from capflow_assets.expressions.as_of import parse_moment, past

    with suppress(CapflowError):
        moment = parse_moment(as_of, deployment.customer(customer).time_zone)
        return past(moment) < moment
    return False
