"""``capflow …`` that makes something: demo, onboard, run.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph`` and ``demo``.
"""

from __future__ import annotations

from collections.abc import Sequence
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

ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes",
        "-p",
        min=1,
        help=r"Processes that compute customers and their models. \[default: as many as cores and free memory allow]",
    ),
]


@app.command()
def demo(
    context: typer.Context,
    home: HomeOption = None,
    users: Annotated[int | None, typer.Option("--users", help="Users of each simulated brand.")] = None,
    processes: ProcessesOption = None,
) -> None:
    """Onboard four customers, real and simulated, and materialize everything for them."""
    from capflow_assets.demo.tour import tour

    with opened(context, home) as (deployment, instance):
        ok = tour(deployment, instance, users, processes)
    raise typer.Exit(0 if ok else 1)


@app.command()
def onboard(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Customers' TOML files.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a customer of that name.")] = False,
    wait: WaitOption = None,
    fail: FailOption = False,
    home: HomeOption = None,
) -> None:
    """Check customers' TOMLs, copy them into the home and add their partitions. A wrong one leaves the others alone."""
    from capflow_assets.errors import CapflowError
    from capflow_assets.graph.onboarding import onboard as bring_in

    with opened(context, home) as (deployment, instance):
        refused: list[CapflowError] = []
        for file in files:
            before = {known.stem for known in deployment.home.customers.glob("*.toml")}
            try:
                customer = bring_in(deployment, instance, file, replace, patience(wait, fail), say)
            except CapflowError as error:
                if len(files) == 1:
                    raise
                refused.append(error)
                typer.secho(str(error), fg=typer.colors.RED, err=True)
                continue
            if replace and customer.name in before:
                touches(deployment, f"{file} took the place of the TOML of {customer.name}")
            typer.echo(
                f"onboarded {customer.name} with {', '.join(customer.tables)}; next: capflow run {customer.name}"
            )
    if refused:
        say(f"{len(refused):,} of {len(files):,} files were refused")
        raise typer.Exit(1)


@app.command()
def run(
    context: typer.Context,
    customers: Annotated[list[str] | None, typer.Argument(help="Names of onboarded customers.")] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", help="stage/table, a stage or a glob; +NAME adds all it needs. Repeatable."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help=r"Read nothing after this day or ISO time. \[default: newest bill]")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="All customers of whom nothing was computed yet.")] = False,
    processes: ProcessesOption = None,
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
    from capflow_assets.home.known_names import refuse_mistyped_selection, refuse_moment

    if not customers and not new:
        raise typer.BadParameter("name customers, or say --new for all of whom nothing was computed yet")
    names(context, home, customers or [])
    refuse_moment(as_of)
    refuse_mistyped_selection(select or [])
    from capflow_assets.cli.terminal import following, print_finished
    from capflow_assets.definitions import STAGES, defs
    from capflow_assets.graph.fleet import FLEET, draw_fleet
    from capflow_assets.graph.launch import select as chosen
    from capflow_assets.graph.side_by_side import run_customers

    with opened(context, home) as (deployment, instance):
        keys = chosen(STAGES, select or [])
        chosen_customers = list(dict.fromkeys([*(customers or []), *(_new(deployment) if new else [])]))
        if not chosen_customers:
            say("no customer is new")
            raise typer.Exit
        for name in chosen_customers:
            deployment.require(name)
            if as_of is not None and _is_not_over(deployment, name, as_of):
                say(f"{as_of} is not over for {name}: nothing after its newest bill is known")

        keys_of = {name: _own(deployment, name, keys, bool(select)) for name in chosen_customers}
        with following({name: len(own) for name, own in keys_of.items()}) as watch:
            finished = run_customers(
                "capflow_assets.definitions",
                deployment,
                instance,
                keys_of,
                processes,
                as_of,
                watch,
                full=full,
                wait=patience(wait, fail),
                say=say,
            )
        if select and FLEET in keys:  # it reads of every customer, so only where it is asked for
            draw_fleet(defs, instance)
    print_finished(finished)
    raise typer.Exit(0 if all(result.ok for result in finished) else 1)


def _new(deployment: Deployment) -> list[str]:
    """The customers of whom the lake has no table."""
    return [name for name in deployment.customers() if not deployment.lake.tables(name)]


def _own(deployment: Deployment, customer: str, keys: Sequence[str], is_selected: bool) -> list[str]:
    """The assets of a customer: all that are selected by name, or else no model that its TOML leaves out."""
    has_model = deployment.model_choice(customer)
    return [
        key
        for key in keys
        if not key.startswith("fleet/")
        and (is_selected or key in deployment.stages.tables or has_model(key.split("/")[1]))
    ]


def _is_not_over(deployment: Deployment, customer: str, as_of: str) -> bool:
    """Whether a moment has not passed yet where the customer is; where that cannot be told, its run says why."""
    from capflow_assets.errors import CapflowError
    from capflow_assets.expressions.as_of import parse_moment, past

    with suppress(CapflowError):
        moment = parse_moment(as_of, deployment.customer(customer).time_zone)
        return past(moment) < moment
    return False
