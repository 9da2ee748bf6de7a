"""``capflow …`` for whoever runs a deployment: forgetting and retiring, the doctor, policies, the page.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``graph``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import (
    Access,
    AnywayOption,
    CustomerArgument,
    FailOption,
    HomeOption,
    TextFormat,
    WaitOption,
    YesOption,
    names,
    opened,
    patience,
    say,
    touches,
)
from capflow_assets.cli.run_commands import run

if TYPE_CHECKING:
    from capflow_assets.deployment import Deployment

app = typer.Typer()


@app.command()
def forget(
    context: typer.Context,
    customer: CustomerArgument,
    users: Annotated[list[str], typer.Argument(help="Ids of users, as the source sends them.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on the receipt.")] = "asked by the user",
    yes: YesOption = False,
    anyway: AnywayOption = False,
    keep_out: Annotated[
        bool, typer.Option("--keep-out", help="Ids of whom nothing is known do not land either, from now on.")
    ] = False,
    rerun: Annotated[bool, typer.Option("--rerun", help="Then compute again what was made of their rows.")] = False,
    wait: WaitOption = None,
    fail: FailOption = False,
    home: HomeOption = None,
) -> None:
    """Remove users from every table and version, pictures and records; they do not land again. Writes receipts."""
    names(context, home, [customer])
    from capflow_assets.erasure.forgetting import forget as erase
    from capflow_assets.erasure.receipts import Receipt
    from capflow_assets.graph.customers_in_turn import once
    from capflow_assets.graph.records import DagsterRecords

    seconds = patience(wait, fail)

    def erase_confirmed() -> list[Receipt]:
        deployment.require(customer)
        touches(deployment, f"{_users(users)} of {customer}, in all tables, versions, pictures and records")
        if not yes:
            typer.confirm(f"Remove {_users(users)} of {customer} for good?", abort=True)
        written = erase(
            deployment, DagsterRecords(instance), customer, users, reason, anyway, seconds, say, keep_out=keep_out
        )
        for receipt in written:
            typer.echo("\n".join(receipt.lines()))
        return written

    with opened(context, home) as (deployment, instance):
        receipts = once("capflow forget", erase_confirmed)
        scored = [table.split("/")[1] for table in deployment.lake.tables(customer) if table.startswith("predictions/")]
    tables = sorted({table for receipt in receipts for table in receipt.recomputed_at_the_next_run})
    if rerun and tables:
        again = [f"{part}/{model}" for model in scored for part in ("predictions", "health")]
        run(context, [customer], [*tables, *again], wait=wait, fail=fail, home=home)


@app.command()
def retire(
    context: typer.Context,
    customer: CustomerArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on the receipt.")] = "retired by hand",
    yes: YesOption = False,
    anyway: AnywayOption = False,
    wait: WaitOption = None,
    fail: FailOption = False,
    home: HomeOption = None,
) -> None:
    """Remove a customer altogether: tables, models, records, TOML and key. Writes a receipt."""
    from capflow_assets.graph.retirement import require_any
    from capflow_assets.graph.retirement import retire as remove

    with opened(context, home) as (deployment, instance):
        require_any(deployment, instance, customer)
        count = len(deployment.lake.tables(customer))
        touches(deployment, f"{customer} with {count:,} tables, and its models, records, TOML and key")
        if not yes:
            typer.confirm(f"Remove {customer} with all its tables and models for good?", abort=True)
        receipt = remove(deployment, instance, customer, reason, anyway, patience(wait, fail), say)
    typer.echo("\n".join(receipt.lines()))


@app.command()
def doctor(
    context: typer.Context,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Look at this customer's part only.")] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what can be mended, and say what was done. Without it nothing changes.")
    ] = False,
    format: Annotated[TextFormat, typer.Option("--format", "-f")] = TextFormat.table,
    home: HomeOption = None,
) -> None:
    """Try configuration, servers, credentials, versions, models, clock and disk, and say what to do."""
    names(context, home, [customer] if customer else [])
    from rich.console import Console

    from capflow_assets.cli.terminal import console, print_rows
    from capflow_assets.doctor import COLUMNS, Case, examine, grid
    from capflow_assets.home.places import Home

    place = Home.of(home or context.obj)

    def deploy() -> Deployment:
        from capflow_assets.definitions import SOURCES, STAGES
        from capflow_assets.graph.engine import deployment

        return deployment(STAGES, SOURCES, home=place)

    with Console(stderr=True).status("looking") as shown:
        case = Case(place, deploy, customer)
        results = list(examine(case, lambda check: shown.update(f"looking at {check}"), mend=mend))
    if format is TextFormat.table:
        screen = console()
        screen.print(grid(results, screen.width))
    else:
        print_rows([result._asdict() for result in results], COLUMNS, format.value, "capflow doctor")
    raise typer.Exit(1 if any(result.state == "broken" for result in results) else 0)


@app.command()
def policy(
    context: typer.Context,
    customer: Annotated[
        str | None, typer.Argument(help=r"The customer that an identity may see. \[default: the bucket's own policy]")
    ] = None,
    access: Annotated[Access, typer.Option("--access", help="What the identity may do.")] = Access.write,
    kms_key: Annotated[str | None, typer.Option("--kms-key", help="ARN of the key that encrypts the lake.")] = None,
    compute_logs: Annotated[
        str | None, typer.Option("--compute-logs", help="s3://bucket/prefix that the output of steps is sent to.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the AWS policy that lets an identity see one customer of the lake, or the policy of the lake's bucket."""
    import json

    from capflow_assets.home.places import Home
    from capflow_assets.stores.policies import bucket_policy, customer_policy

    lake = Home.of(home or context.obj).lake
    if customer is None:
        document = bucket_policy(lake, kms_key)
    else:
        document = customer_policy(lake, customer, access.value, kms_key, compute_logs)
    typer.echo(json.dumps(document, indent=2))


AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        envvar="CAPFLOW_ALLOWED_HOSTS",
        help="A further name that the page answers to, NAME or NAME:PORT. Repeatable; in the variable, by commas.",
    ),
]


@app.command()
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web page.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_host: AllowOption = None,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in a browser once it answers.")] = False,
    home: HomeOption = None,
) -> None:
    """Dagster's web page and daemon on this home, until interrupted. The page has no log-in."""
    import webbrowser

    from capflow_assets.graph.webpage.start import Address, serve
    from capflow_assets.home.places import Home

    place = Home.of(home or context.obj)

    def ready(url: str) -> None:
        typer.echo(f"{url} on {place.root}")
        if browse:
            webbrowser.open(url)

    raise typer.Exit(serve(place, Address(host, port, separated(allow_host)), ready))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def webserver(context: typer.Context, allow_host: AllowOption = None) -> None:
    """Dagster's webserver alone, for a deployment: guarded as `ui` is, with the options of `dagster-webserver`."""
    from capflow_assets.cli.fleet_pages import guarded_pages
    from capflow_assets.graph.webpage.webserver import serve

    pages = guarded_pages()
    try:
        serve(context.args, separated(allow_host), pages.beside)
    finally:
        pages.end()


def separated(names: list[str] | None) -> tuple[str, ...]:
    """Names that may have been given several at once, by commas."""
    return tuple(name.strip() for text in names or () for name in text.split(",") if name.strip())


def _users(ids: list[str]) -> str:
    return "1 user" if len(ids) == 1 else f"{len(ids):,} users"
