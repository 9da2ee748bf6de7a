"""``capflow serve``: online answers, and the tokens that customers ask with.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``serving``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from capflow_assets.cli.options import CustomerArgument, HomeOption, names, say

if TYPE_CHECKING:
    from fastapi import FastAPI

    from capflow_assets.deployment import Deployment

app = typer.Typer()
serve_app = typer.Typer(help="Answer online for all customers that have a token; and such tokens.")
app.add_typer(serve_app, name="serve")

FACTORY = "capflow_assets.cli.serve_command:application"
# What `capflow serve` tells its processes.
SETTINGS = "CAPFLOW_SERVE"
DRAIN_SECONDS = 30


@serve_app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8390,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; one a core.")] = 1,
    memory_mb: Annotated[int, typer.Option(min=16, help="Megabytes that each process may keep models in.")] = 1024,
    home: HomeOption = None,
) -> None:
    """Answer online: POST /v1/CUSTOMER/models/MODEL/answers; /docs has the rest. One worker shows the fleet at /."""
    if context.invoked_subcommand is not None:
        context.obj = home or context.obj
        return
    import uvicorn

    from capflow_assets.home.places import Home
    from capflow_assets.serving.logs import configure
    from capflow_assets.serving.tokens import served_customers

    place = Home.of(home or context.obj).prepare()
    has_pages = _may_show_pages(host) and workers == 1
    os.environ[SETTINGS] = json.dumps({"memory_mb": memory_mb, "workers": workers, "pages": has_pages})
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
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=None,
        backlog=4096,
    )


@serve_app.command()
def token(
    context: typer.Context,
    customer: CustomerArgument,
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
    from capflow_assets.stores.answer_store import AnswerStore

    names(context, home, [customer])
    place = Home.of(home or context.obj)
    if revoke:
        count = tokens.revoke(place, customer)
        AnswerStore.of(place, customer).remove()
        say(f"{count} tokens of {customer} hold no more, and its store of answers is removed")
        return
    typer.echo(tokens.issue(place, customer, overlap_hours))
    say(f"a token of {customer}; tokens before it hold for {overlap_hours:g} hours more")


def application() -> FastAPI:
    """The application of one process, of the home and the settings that the environment names."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.home.places import Home
    from capflow_assets.serving.app import create_app
    from capflow_assets.serving.logs import configure

    configure()
    settings = json.loads(os.environ[SETTINGS])
    opened = deployment(STAGES, SOURCES, home=Home.of())
    beside = partial(_with_pages, opened) if settings["pages"] else None
    return create_app(opened, settings["memory_mb"] << 20, settings["workers"], beside)


@contextmanager
def _with_pages(deployment: Deployment, app: FastAPI) -> Iterator[None]:
    """The pages of the fleet beside the answers, which do without them where Dagster's records cannot be opened."""
    from capflow_assets.console.app import mount
    from capflow_assets.console.fleet_view import Fleet
    from capflow_assets.graph.launch import dagster_instance

    with ExitStack() as stack:
        try:
            fleet = Fleet(deployment, stack.enter_context(dagster_instance(deployment.home)))
            mount(app, fleet)
        except Exception as error:  # whatever a database fails with
            words = {"what": "there are no pages: Dagster's records cannot be opened", "error": type(error).__name__}
            logging.getLogger("capflow.serving").warning(words)
        else:
            fleet.begin()
            stack.callback(fleet.end)
        yield


def _may_show_pages(host: str) -> bool:
    """Whether the fleet's pages are served: without a token of theirs to this machine alone."""
    from capflow_assets.console.access import LOOPBACK, VARIABLE

    return bool(os.environ.get(VARIABLE)) or host in LOOPBACK or host == "::1"


def _share_metrics() -> None:
    """A folder in which the processes count together."""
    import tempfile

    from capflow_assets.serving.metrics import SHARED

    if SHARED not in os.environ:
        os.environ[SHARED] = tempfile.mkdtemp(prefix="capflow-metrics-")
