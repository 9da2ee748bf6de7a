"""``capflow …``: the machine from a terminal.

Belongs here: commands, their options and how results look. Does not belong here: work; each command calls one or two
functions of ``graph`` or ``demo``, which are imported when the command runs, so that ``capflow --help`` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capflow_assets.cli import champion_commands, operator_commands
from capflow_assets.cli.options import (
    CustomerArgument,
    CustomerOption,
    FailOption,
    HomeOption,
    ModelArgument,
    OutputOption,
    TableFormat,
    TextFormat,
    WaitOption,
    looked_at,
    names,
    opened,
    patience,
    say,
    touches,
)
from capflow_assets.errors import CapflowError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.customers.customer import Customer
    from capflow_assets.deployment import Deployment

app = typer.Typer(
    name="capflow",
    help="The models of a retail CRM, from bills to champions and predictions, for every customer.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


# Commands that write. They are carried out by a child that may die, and an interrupt ends them within seconds.
WATCHED = ("demo", "forget", "freeze", "onboard", "promote", "retire", "rollback", "run")
# Whether this process is `capflow` and nothing else; a program that calls `main` is not forked.
owns_process = False


def print_version(is_asked: bool) -> None:
    """Print the version of the package and end."""
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"capflow {version('capflow-assets')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and end.")
]


@app.callback()
def common(context: typer.Context, home: HomeOption = None, version: VersionOption = False) -> None:
    """Options that stand before the command serve it too."""
    context.obj = home
    if owns_process and context.invoked_subcommand in WATCHED:
        from capflow_assets.processes.supervision import supervise

        supervise(context.invoked_subcommand)


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
    """Materialize tables, models and predictions of customers. One customer's failure leaves the others alone."""
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
        with following(chosen_customers, len([key for key in keys if key != FLEET])) as watch:
            seconds = patience(wait, fail)
            finished = run_in_turn(
                defs, STAGES, instance, chosen_customers, keys, as_of, watch, full=full, wait=seconds, say=say
            )
        if select and FLEET in keys:  # it reads of every customer, so only where it is asked for
            draw_fleet(defs, instance)
    print_finished(finished)
    raise typer.Exit(0 if all(result.ok for result in finished) else 1)


@app.command()
def show(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="stage/table, for example features/rfm; or features, --catalogue.")],
    customer: CustomerOption,
    format: Annotated[TableFormat, typer.Option("--format", "-f")] = TableFormat.table,
    output: OutputOption = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help=r"At most this many rows. \[default: 20 on screen, else all]")
    ] = None,
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="Of features: what each says, how it is made and spread; -o FILE.html.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV for programs: text is left as it is, and may be a spreadsheet's formula.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Print a table of a customer, or write it to a file. In CSV, text like =1+1 begins with an apostrophe."""
    names(context, home, [customer])
    from capflow_assets.cli.terminal import print_table, write_table
    from capflow_assets.graph.status import counts
    from capflow_assets.tables.catalogue import catalogue_of

    def written(rows: pa.Table, what: str) -> None:
        write_table(rows, format.value, output, raw=raw)
        if output is not None:
            say(f"wrote {rows.num_rows:,} rows, {what}, to {output}")

    with looked_at(context, home) as (deployment, instance):
        deployment.require(customer)
        if catalogue:
            found, shown = catalogue_of(deployment.lake, customer, table)
            if output is not None and output.suffix == ".html":
                from capflow_assets.pages.catalogue_page import page

                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(page(deployment.customer(customer), found.to_pylist()), encoding="utf-8")
                say(f"wrote the features of {customer} to {output}")
            elif format is TableFormat.table and output is None:
                print_table(f"features of {customer}", shown, shown.num_rows if limit is None else limit)
            else:
                written(found.slice(0, limit), f"features of {customer}")
        elif format is TableFormat.table and output is None:
            rows = deployment.lake.arrow(customer, table)
            title = f"{table} of {customer}"
            print_table(title, rows, 20 if limit is None else limit, counts(instance, table, customer))
        else:
            written(deployment.lake.arrow(customer, table, limit), f"{table} of {customer}")


@app.command()
def status(
    context: typer.Context,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
    details: Annotated[bool, typer.Option("--details", "-d", help="Champion, metric and drift of each too.")] = False,
    format: Annotated[TextFormat, typer.Option("--format", "-f")] = TextFormat.table,
    home: HomeOption = None,
) -> None:
    """Customers × models: ready, at risk or not and why; with --details champion, metric against baseline, drift."""
    names(context, home, [customer] if customer else [])
    from capflow_assets.cli.terminal import print_matrix, print_rows
    from capflow_assets.graph.status import COLUMNS, OVERVIEW, status_rows

    with looked_at(context, home) as (deployment, instance):
        if customer is not None:
            deployment.require(customer)
        shown_customers = [customer] if customer else deployment.customers()
        rows = list(status_rows(deployment, instance, shown_customers))
    if format is TextFormat.table:
        print_matrix(rows)
    if details or format is not TextFormat.table:
        shown = OVERVIEW if format is TextFormat.table else COLUMNS
        print_rows(rows, shown, format.value, "customers and their models")


@app.command()
def report(
    context: typer.Context,
    customer: CustomerArgument,
    output: OutputOption = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    home: HomeOption = None,
) -> None:
    """A customer's report as one HTML page: key figures, what stands out, distributions, retention, stores."""
    names(context, home, [customer])
    from capflow_assets.pages.report import read_page

    with looked_at(context, home) as (deployment, _):
        declared = deployment.customer(customer)
        if output is None:
            place = _page_in_the_lake(deployment, declared)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(read_page(deployment.lake, declared), encoding="utf-8")
            place = str(output)
    typer.echo(place)
    if open_:
        typer.launch(place)


@app.command()
def explain(
    context: typer.Context,
    customer: CustomerArgument,
    model: ModelArgument,
    version: Annotated[int | None, typer.Option(min=1, help=r"A version. \[default: the champion]")] = None,
    format: Annotated[TextFormat, typer.Option("--format", "-f")] = TextFormat.table,
    home: HomeOption = None,
) -> None:
    """All about a customer's model: parameters, metric with interval, baseline, calibration, data, why promoted."""
    names(context, home, [customer], model)
    from capflow_assets.cli.terminal import print_report
    from capflow_assets.graph.status import explain as explained

    with looked_at(context, home) as (deployment, instance):
        report = explained(deployment, instance, customer, model, version)
    print_report(report, format.value)


app.add_typer(champion_commands.app)
app.add_typer(operator_commands.app)


def _page_in_the_lake(deployment: Deployment, customer: Customer) -> str:
    """The place of a customer's page, written beside its tables."""
    from capflow_assets.home.databases import is_refusal_to_write
    from capflow_assets.pages.report import write_page

    try:
        return write_page(deployment.lake, customer)
    except OSError as error:
        if not is_refusal_to_write(error):
            raise
        do = f"name a file elsewhere: capflow report {customer.name} -o report.html"
        where = deployment.lake.prefix(customer.name)
        raise StoreError("The report is kept in the lake, which cannot be written", where=where, do=do) from error


def main(arguments: list[str] | None = None) -> Any:
    """The entry point: an error that people can meet is shown in its own words, without a traceback."""
    try:
        app(arguments)
    except CapflowError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(1)
    except OSError as error:
        where = str(error.filename or "")
        words = CapflowError("A file or folder cannot be used", came=error.strerror or str(error), where=where)
        typer.secho(str(words), fg=typer.colors.RED, err=True)
        sys.exit(1)
