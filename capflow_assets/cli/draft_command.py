"""``capflow draft``: a customer's TOML out of its files. Does not belong here: looking at them (``drafting``)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capflow_assets.cli.options import HomeOption, say

if TYPE_CHECKING:
    from capflow_assets.drafting.trial import TableTrial

app = typer.Typer()


@app.command()
def draft(
    files: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, s3://… or a database's address: all that a brand sends.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the TOML here, not on the screen.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Land a sample of it as well, in a folder that is gone afterwards.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
    name: Annotated[str, typer.Option("--name", help=r"The customer's name. \[default: by the folder or file]")] = "",
    vertical: Annotated[str, typer.Option("--vertical", help="What it sells: grocery, fashion, …")] = "",
    currency: Annotated[str, typer.Option("--currency", help="In which currency amounts are: EUR.")] = "",
    time_zone: Annotated[str, typer.Option("--time-zone", help="Of local times: Europe/Berlin.")] = "",
    user: Annotated[str, typer.Option("--user", help="Who reads the database.")] = "",
    password_env: Annotated[str, typer.Option("--password-env", help="The variable that holds the password.")] = "",
    home: HomeOption = None,
) -> None:
    """Write a customer's TOML from a look at its files, with a comment beside every guess. Nothing is sent anywhere."""
    del home  # every command takes it; a draft reads and writes nothing there
    from capflow_assets.drafting.draft import draft as drafted
    from capflow_assets.errors import CapflowError

    if output is not None and output.exists() and not replace:
        do = "choose another name, or write over it on purpose: --replace"
        raise CapflowError("There is a file of that name already; it was left as it is", where=str(output), do=do)
    start = output.parent.resolve() if output is not None else None
    answers = {
        "name": name or (output.stem if output is not None else ""),
        "vertical": vertical,
        "currency": currency,
        "time_zone": time_zone,
    }
    said = {key: value for key, value in answers.items() if value}
    proposal = drafted(files, start, said, user, password_env)
    if output is None:
        typer.echo(proposal.text, nl=False)
    else:
        output.write_text(proposal.text, encoding="utf-8")
    for refusal in proposal.refused:
        say(f"not read: {refusal}")
    if check:
        _try_out(proposal.text, start or Path(), is_page=output is not None)
    for number, question in enumerate(proposal.questions, 1):
        say(f"? {number}. {question}")
    if output is not None:
        next_step = f"answer what is marked '# ?', then: capflow onboard {output}"
        say(f"{output}: {', '.join(proposal.tables)}, {len(proposal.questions)} open questions; {next_step}")


def _try_out(text: str, base: Path, *, is_page: bool) -> None:
    """Print what a trial gives: beside the TOML where that is on the screen."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.drafting.trial import tried
    from capflow_assets.home.session import session_of

    trial = tried(text, base, STAGES, SOURCES, lambda: session_of("sail", {}))
    for note in trial.notes:
        say(note)
    for table in trial.tables:
        typer.echo("\n".join(_lines(table)), err=not is_page)
    if any(table.status == "failed" for table in trial.tables):
        say("? 0. a table failed in the trial: see above")


def _lines(table: TableTrial) -> Iterable[str]:
    mark = "✓" if table.status == "done" else "✗"
    sums = "".join(f", {name} {value:,.2f}" for name, value in table.sums.items())
    out = f", {table.left_out:,} left out" if table.left_out else ""
    yield f"{mark} {table.key}: {table.rows:,} rows{out}{sums}" + (f", {table.period}" if table.period else "")
    if table.reason:
        yield f"  {table.reason}"
    for reason, count in table.rejected.items():
        yield f"  {count:,} rejected: {reason}"
    for row in table.first if table.key.startswith("raw/") else ():
        yield "  " + ", ".join(f"{name}={_shown(value)}" for name, value in row.items())


def _shown(value: Any) -> str:
    # 13.35 rather than 13.350000000000001, which is the same number.
    text = "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
