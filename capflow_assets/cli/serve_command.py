"""``capflow serve``: online answers, and the tokens that customers ask with.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``serving``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from capflow_assets.cli.fleet_pages import DAGSTER
from capflow_assets.cli.options import HomeOption, names, say

app = typer.Typer()
serve_app = typer.Typer(help="Answer online for all customers that have a token; and such tokens.")
app.add_typer(serve_app, name="serve")

FACTORY = "capflow_assets.cli.serve_command:application"
BOUND, PROCESSES = "CAPFLOW_SERVE_MB", "CAPFLOW_SERVE_WORKERS"
DRAIN_SECONDS = 30


@serve_app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8390,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; one a core.")] = 1,
    memory_mb: Annotated[int, typer.Option(min=16, help="Megabytes that each process may keep models in.")] = 1024,
    dagster_url: Annotated[
        str, typer.Option(envvar=DAGSTER, help="Where Dagster's page is, for links from the pages at /.")
    ] = "http://127.0.0.1:3000",
    home: HomeOption = None,
) -> None:
    """Answer online: POST /v1/CUSTOMER/models/MODEL/answers; /docs has the rest. Ends when requests have ended."""
    if context.invoked_subcommand is not None:
        context.obj = home or context.obj
        return
    import uvicorn

    from capflow_assets.home.places import Home
    from capflow_assets.serving.connections import most_connections
    from capflow_assets.serving.joined_writes import JoinedWritesProtocol
    from capflow_assets.serving.logs import configure
    from capflow_assets.serving.tokens import served_customers

    place = Home.of(home or context.obj).prepare()
    os.environ[DAGSTER] = dagster_url.rstrip("/")
    os.environ[BOUND], os.environ[PROCESSES] = str(memory_mb), str(workers)
    if workers > 1:
        _share_metrics()
    customers = served_customers(place)
    hint = "" if customers else "; a customer is served once it has a token: capflow serve token CUSTOMER"
    say(f"serving {len(customers)} customers of {place.root} at http://{host}:{port}{hint}")
    configure()
    uvicorn.run(
        FACTORY,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=JoinedWritesProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=most_connections(),
        backlog=4096,
    )


@serve_app.command()
def token(
    context: typer.Context,
    customer: Annotated[str | None, typer.Argument(help="The customer's name.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="A token for the pages at /, of all customers.")] = False,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="So long the tokens before it hold, while clients change over.")
    ] = 24.0,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="No token holds any more; the customer is not served.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """A new token of a customer, printed once; only its digest is kept. With it the customer is served."""
    from capflow_assets.home.places import Home
    from capflow_assets.serving import tokens
    from capflow_assets.stores.answer_stores import answers_of

    if (customer is None) != operator:
        raise typer.BadParameter("name a customer, or say --operator")
    names(context, home, [customer] if customer else [])
    place, owner = Home.of(home or context.obj), customer or tokens.OPERATOR
    whose = customer or "the operator"
    if revoke:
        count = tokens.revoke(place, owner)
        if customer:
            answers_of(place, customer).remove()
        say(f"{count} tokens of {whose} hold no more" + (", and its store of answers is removed" if customer else ""))
        return
    typer.echo(tokens.issue(place, owner, overlap_hours))
    say(f"a token of {whose}; tokens before it hold for {overlap_hours:g} hours more")
    if customer:
        say("a server that runs publishes what is not published yet within a minute")


@serve_app.command(hidden=True)
def publish(
    context: typer.Context,
    customers: Annotated[list[str], typer.Argument(help="The customers' names.")],
    home: HomeOption = None,
) -> None:
    """Publish what is newer in the lake of customers that are served, once; a server does so by itself."""
    import json

    from capflow_assets.home.places import Home
    from capflow_assets.packages import deployment
    from capflow_assets.serving.logs import configure
    from capflow_assets.serving.refreshing import be_last, publish_each

    configure()
    be_last()
    typer.echo(json.dumps(publish_each(deployment(Home.of(home or context.obj)), customers)))


def application() -> Any:
    """The application of one process, of the home and bounds that the environment names."""
    from capflow_assets.cli.fleet_pages import console_of
    from capflow_assets.console.late_pages import LatePages
    from capflow_assets.packages import deployment
    from capflow_assets.serving.app import create_app
    from capflow_assets.serving.logs import configure
    from capflow_assets.serving.refreshing import published_apart

    configure()
    bound, processes = int(os.environ.get(BOUND, "1024")) << 20, int(os.environ.get(PROCESSES, "1"))
    opened = deployment()
    root = str(opened.home.root)
    return create_app(
        opened,
        bound,
        processes,
        lambda gate: LatePages(lambda: console_of(opened, gate)),
        lambda customers: published_apart(root, customers),
    )


def _share_metrics() -> None:
    """A folder in which the processes count together."""
    import tempfile

    from capflow_assets.serving.metrics import SHARED

    if SHARED not in os.environ:
        os.environ[SHARED] = str(Path(tempfile.mkdtemp(prefix="capflow-metrics-")))
