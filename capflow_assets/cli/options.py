"""What the commands of ``capflow`` share: options and the home that they work on. Does not belong here: a command."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import dagster as dg

    from capflow_assets.deployment import Deployment
    from capflow_assets.home.places import Home


class TableFormat(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class TextFormat(StrEnum):
    """How a report is printed."""

    table = "table"
    csv = "csv"
    json = "json"


class Access(StrEnum):
    """What an identity may do with a customer's data."""

    read = "read"
    write = "read-write"


HomeOption = Annotated[
    Path | None,
    # No envvar here: a command's would win over what is written before the command. ``Home.of`` reads it last.
    typer.Option("--home", help=r"Folder of lake, MLflow and Dagster. \[env: CAPFLOW_HOME; default: .capflow]"),
]
CustomerOption = Annotated[str, typer.Option("--customer", "-c", help="The customer's name.")]
CustomerArgument = Annotated[str, typer.Argument(help="The customer's name.")]
ModelArgument = Annotated[str, typer.Argument(help="The model's name, for example purchase_propensity.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of the screen.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the version.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AnywayOption = Annotated[bool, typer.Option("--anyway", help="Even if runs seem not to have ended.")]

WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait",
        min=0,
        metavar="SECONDS",
        help=r"Wait so long for a customer that somebody else is writing. \[default: until it is free]",
    ),
]
FailOption = Annotated[bool, typer.Option("--fail", help="Do not wait for a customer that somebody else is writing.")]


def patience(wait: float | None, fail: bool) -> float | None:
    """How many seconds are waited for a customer; None for as long as it takes."""
    if fail and wait:
        raise typer.BadParameter("--wait and --fail exclude each other")
    if wait is not None and math.isnan(wait):
        raise typer.BadParameter("--wait is a number of seconds, and 'nan' is none")
    return 0 if fail else wait


def say(words: str) -> None:
    """Print, beside the results, what a command waits for or has done on the way."""
    typer.echo(words, err=True)


def names(context: typer.Context, home: Path | None, customers: Iterable[str], model: str | None = None) -> None:
    """Refuse what does not exist before anything is opened, which takes seconds."""
    from capflow_assets.home.known_names import refuse_unknown
    from capflow_assets.home.places import Home

    refuse_unknown(Home.of(home or context.obj), customers, model)


def touches(deployment: Deployment, words: str) -> None:
    """Say what is changed permanently, and in which home."""
    say(f"{words}, in the home {deployment.home.root}")


@contextmanager
def opened(context: typer.Context, home: Path | None) -> Iterator[tuple[Deployment, dg.DagsterInstance]]:
    """The deployment of a home and its Dagster, for one command."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.home.places import Home

    place = Home.of(home or context.obj)
    with _in_our_words(place), dagster_instance(place) as instance:
        _end_gone_runs(instance, place)
        yield deployment(STAGES, SOURCES, home=place), instance


@contextmanager
def looked_at(context: typer.Context, home: Path | None) -> Iterator[tuple[Deployment, dg.DagsterInstance]]:
    """The deployment of a home and its Dagster, for a command that only looks: the home may be read-only."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_to_look_at
    from capflow_assets.home.places import Home

    place = Home.of(home or context.obj)
    with _in_our_words(place), dagster_to_look_at(place) as (copied, instance):
        if copied == place:
            _end_gone_runs(instance, place)
        yield deployment(STAGES, SOURCES, home=copied), instance


def _end_gone_runs(instance: dg.DagsterInstance, place: Home) -> None:
    """End what blocks a customer though nobody works on it any more, and say so."""
    from capflow_assets.graph.customers_in_turn import end_runs_of_the_dead
    from capflow_assets.graph.gone_runs import end_gone_runs
    from capflow_assets.processes.run_processes import sweep

    end_runs_of_the_dead(instance)
    for words in end_gone_runs(instance, place):
        say(f"ended run {words}: its process is gone")
    if not place.postgres_url:  # else the daemon does it: here it would be a connection for every command
        sweep(place)


@contextmanager
def _in_our_words(place: Home) -> Iterator[None]:
    """An error of the home's disk or databases, from whatever library, as one clear message."""
    from capflow_assets.errors import CapflowError
    from capflow_assets.home.databases import in_our_words

    try:
        yield
    except CapflowError:
        raise
    except Exception as error:
        worded = in_our_words(error, place)
        if worded is None:
            raise
        raise worded from error
