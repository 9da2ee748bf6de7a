"""``capflow …``: the machine from a terminal. The one application, of all the commands of the files beside this one.

Belongs here: what holds for all commands. Does not belong here: a command; each calls one or two functions of ``graph``
or ``demo``, which are imported when it runs, so that ``capflow --help`` is quick.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from capflow_assets.cli import (
    alert_command,
    champion_commands,
    delivery_commands,
    draft_command,
    looking_commands,
    operator_commands,
    plan_commands,
    run_commands,
    serve_command,
)
from capflow_assets.cli.options import HomeOption
from capflow_assets.errors import CapflowError

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


app.add_typer(run_commands.app)
app.add_typer(draft_command.app)
app.add_typer(looking_commands.app)
app.add_typer(champion_commands.app)
app.add_typer(operator_commands.app)
app.add_typer(plan_commands.app)
app.add_typer(serve_command.app)
app.add_typer(delivery_commands.app)
app.add_typer(alert_command.app)


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
