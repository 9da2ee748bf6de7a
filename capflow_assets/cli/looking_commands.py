"""``capflow …`` that only looks: show, status, report, explain.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph`` and ``pages``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import (
    CustomerArgument,
    CustomerOption,
    HomeOption,
    ModelArgument,
    OutputOption,
    TableFormat,
    TextFormat,
    looked_at,
    names,
    say,
)
from capflow_assets.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from capflow_assets.customers.customer import Customer
    from capflow_assets.deployment import Deployment

app = typer.Typer()


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
    from capflow_assets.home.known_names import refuse_mistyped_table
    from capflow_assets.home.places import Home

    names(context, home, [customer])
    if not catalogue:
        refuse_mistyped_table(Home.of(home or context.obj), customer, table)
    from capflow_assets.cli.table_files import write_table
    from capflow_assets.cli.terminal import print_table
    from capflow_assets.graph.status import counts
    from capflow_assets.tables.catalogue import catalogue_of

    def written(rows: pa.Table, what: str) -> None:
        write_table(rows, format.value, output, raw=raw)
        if output is not None:
            say(f"wrote {rows.num_rows:,} rows, {what}, to {output}")

    with looked_at(context, home) as (deployment, instance):
        deployment.require(customer)
        if catalogue:
            entries, shown = catalogue_of(deployment.lake, customer, table)
            if output is not None and output.suffix == ".html":
                from capflow_assets.pages.catalogue_page import page

                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(page(deployment.customer(customer), entries.to_pylist()), encoding="utf-8")
                say(f"wrote the features of {customer} to {output}")
            elif format is TableFormat.table and output is None and table == "features":
                from capflow_assets.cli.catalogue_blocks import print_blocks

                print_blocks(shown.to_pylist(), customer, limit)
            elif format is TableFormat.table and output is None:
                print_table(f"features of {customer}", shown, shown.num_rows if limit is None else limit)
            else:
                written(entries.slice(0, limit), f"features of {customer}")
        elif format is TableFormat.table and output is None:
            _refuse_absent(deployment, instance, customer, table)
            rows = deployment.lake.arrow(customer, table)
            title = f"{table} of {customer}"
            print_table(title, rows, 20 if limit is None else limit, counts(instance, table, customer))
        else:
            _refuse_absent(deployment, instance, customer, table)
            written(deployment.lake.arrow(customer, table, limit), f"{table} of {customer}")


@app.command()
def status(
    context: typer.Context,
    customers: Annotated[list[str] | None, typer.Argument(help=r"Customers' names. \[default: all]")] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
    details: Annotated[bool, typer.Option("--details", "-d", help="Champion, metric and drift of each too.")] = False,
    night: Annotated[bool, typer.Option("--night", help="How the last night of each customer went, or goes.")] = False,
    format: Annotated[TextFormat, typer.Option("--format", "-f")] = TextFormat.table,
    home: HomeOption = None,
) -> None:
    """Customers × models: ready, at risk or not and why; with --details champion, metric against baseline, drift."""
    chosen = [*dict.fromkeys([*(customers or []), *([customer] if customer else [])])]
    names(context, home, chosen)
    if night:
        from capflow_assets.cli.plan_commands import print_nights

        with looked_at(context, home) as (deployment, instance):
            print_nights(deployment, instance, chosen or deployment.customers(), format.value)
        return
    from capflow_assets.cli.readiness_matrix import print_matrix
    from capflow_assets.cli.terminal import print_rows
    from capflow_assets.graph.status import COLUMNS, OVERVIEW, status_rows

    with looked_at(context, home) as (deployment, instance):
        for name in chosen:
            deployment.require(name)
        rows = list(status_rows(deployment, instance, chosen or deployment.customers()))
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

    with looked_at(context, home) as (deployment, instance):
        declared = deployment.customer(customer)
        _refuse_absent(deployment, instance, customer, "validation/kpis")
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
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="Print the command that trains the version again.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """The card of a customer's model: how good it is, on what data, by which recipe, why it was promoted or not.

    CSV and JSON have all of it, the parameters too.
    """
    names(context, home, [customer], model)
    from capflow_assets.cli.model_card import print_card, reproduction
    from capflow_assets.cli.terminal import print_report
    from capflow_assets.graph.status import explain as explained

    with looked_at(context, home) as (deployment, instance):
        report = explained(deployment, instance, customer, model, version)
        now = {table: deployment.lake.version(customer, table) for table in report.get("data_versions", ())}
    if reproduce:
        typer.echo("\n".join(reproduction(report, now)))
    elif format is TextFormat.table:
        print_card(report)
    else:
        print_report(report, format.value)


def _refuse_absent(deployment: Deployment, instance: dg.DagsterInstance, customer: str, table: str) -> None:
    """Refuse a table that a customer cannot have: with what it would be made of, or with what its model still needs.

    Raises:
        NotFoundError: says which table is not declared, or why the model is not ready; running would not make it.
    """
    if deployment.lake.exists(customer, table):  # whatever has become of the TOML since
        return
    absent = deployment.stages.absent(deployment.customer(customer).tables)
    if table in absent:
        raise NotFoundError(
            f"{customer} cannot have {table}",
            came=absent[table],
            do="declare what it is made of in the TOML, and onboard it again: capflow onboard FILE.toml --replace",
        )
    stage, _, model = table.partition("/")
    if stage == "predictions" and model in deployment.stages.models:
        from capflow_assets.graph.status import status_rows

        (row,) = (row for row in status_rows(deployment, instance, [customer]) if row["model"] == model)
        if row["readiness"] == "not ready":
            do = f"see what would make it ready: capflow explain {customer} {model}"
            raise NotFoundError(f"{customer} has no {table}", came=f"not ready: {row['readiness_reason']}", do=do)


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
