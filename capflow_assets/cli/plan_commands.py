"""``capflow plan``: the coming night before it comes; and the last one, for ``capflow status --night``.

Belongs here: the command and how nights read in 80 columns. Not here: the simulation (``nights``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from math import isinf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capflow_assets.cli.options import HomeOption, looked_at, say

if TYPE_CHECKING:
    import dagster as dg

    from capflow_assets.deployment import Deployment
    from capflow_assets.graph.night_planning import Outlook
    from capflow_assets.nights.plan import Help, Plan

app = typer.Typer()

LISTED_LATE = 5
# Of a night, what fits on a screen.
OVERVIEW = ("customer", "state", "why", "until", "ended")
MINUTES = 60


class PlanFormat(StrEnum):
    """How a plan is printed."""

    text = "text"
    json = "json"


@app.command()
def plan(
    context: typer.Context,
    customers: Annotated[
        str, typer.Option("--customers", metavar="+N", help="With so many more customers like those there are.")
    ] = "+0",
    cores: Annotated[
        int | None, typer.Option("--cores", min=1, help=r"Runs at once. \[default: as Dagster's queue says]")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", min=0, help=r"GiB that runs may take. \[default: of this machine]")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="HH:MM", help=r"When all nights begin. \[default: as the TOMLs say]")
    ] = None,
    format: Annotated[PlanFormat, typer.Option("--format", "-f")] = PlanFormat.text,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw it into this PNG file.")] = None,
    home: HomeOption = None,
) -> None:
    """How the coming night will go: how long, who waits, who is late, what would help. Nothing is started."""
    more, start = _more(customers), _clock(at)
    if memory is not None and isnan(memory):
        raise typer.BadParameter("--memory is a number of GiB, such as 16, and nan is none")
    from capflow_assets.graph.night_planning import outlook
    from capflow_assets.nights.plan import helps, plan_of

    with looked_at(context, home) as (deployment, instance):
        view = outlook(deployment, instance, more, cores, memory, start)
    night = plan_of(view.arrivals, view.capacity, view.history)
    changes = helps(view.arrivals, view.capacity, view.history)
    if format is PlanFormat.json:
        typer.echo(json.dumps(plan_as_json(view, night, changes), indent=2))
    else:
        typer.echo("\n".join(plan_as_text(view, night, changes)))
    if plot is not None:
        from capflow_assets.nights.plan_plot import figure
        from capflow_assets.pages.plots import png

        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_bytes(png(figure(night)))
        say(f"drew the night into {plot}")


def print_nights(deployment: Deployment, instance: dg.DagsterInstance, customers: Sequence[str], kind: str) -> None:
    """The last night of customers that have one: what of it is done, late, failed, running or waits, and why."""
    from capflow_assets.cli.terminal import print_rows
    from capflow_assets.graph.night_status import COLUMNS, night_rows, sensor_cursor

    rows = night_rows(deployment.stages, instance, sensor_cursor(instance), datetime.now(UTC).timestamp(), customers)
    if not rows and kind == "table":
        typer.echo("No night yet: give a customer [night] in its TOML, and keep the daemon running (capflow ui)")
        return
    if kind == "table":
        rows = [row | {"until": _short(row["until"]), "ended": _short(row["ended"])} for row in rows]
    print_rows(rows, OVERVIEW if kind == "table" else COLUMNS, kind, "the last night of each customer, in UTC")


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plan_as_text(view: Outlook, night: Plan, changes: Sequence[Help]) -> list[str]:
    """The plan as lines of at most 80 characters, of names of usual length."""
    if not night.customers:
        return ["There is no customer yet whose night could be planned", *view.notes]
    begins, ends = _clock_of(night.begins), _clock_of(night.ends)
    rows = [
        ("night", f"{_many(night.customers, 'customer')}, {_many(night.jobs, 'job')} in {_many(night.runs, 'run')}"),
        ("runs at once", ", ".join(_pools(view))),
        ("work", f"{_length(night.work_seconds)}, and {_length(night.startup_seconds)} of start-up"),
        ("takes", f"{_length(night.makespan)}: {begins} to {ends} UTC"),
        (
            "queue",
            f"at most {_many(night.most_waiting, 'job')} waiting at once; {_longest(night)}"
            if night.most_waiting
            else "no job waits",
        ),
        ("memory", f"at most {night.peak_memory_gib:.1f} GiB at once"),
        ("late", "; ".join(_late(night)) or "nobody"),
    ]
    rows += [("never", f"{customer}: {reason}") for customer, reason in list(night.never.items())[:LISTED_LATE]]
    if night.assumed:
        rows.append(("assumed", f"{_many(night.assumed, 'customer')} without history: they cost what others do"))
    rows += [("note", note) for note in view.notes]
    lines = [line for name, words in rows for line in _folded(name, words)]
    if changes:
        lines += ["", "What would help"]
        lines += [line for change in changes for line in _folded(change.change, _changed(change.plan), 22)]
    elif night.late or night.never:
        lines += ["", "No single change of capacity or start would help"]
    return lines


def plan_as_json(view: Outlook, night: Plan, changes: Sequence[Help]) -> dict[str, Any]:
    """The plan with all its figures: moments as ISO times, durations in seconds, memory in GiB."""
    capacity = {
        name: {"slots": pool.slots, "memory_gib": _finite(pool.memory_gib)} for name, pool in view.capacity.items()
    }
    return {
        **_figures(night),
        "capacity": capacity,
        "notes": view.notes,
        "levels": [level._asdict() | {"at": _iso(level.at)} for level in night.levels],
        "what_would_help": [{"change": change.change, **_figures(change.plan)} for change in changes],
    }


def _figures(night: Plan) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(night).items() if name != "levels"}
    shares = {"makespan": night.makespan, "startup_share": night.startup_share}
    return figures | shares | {"begins": _iso(night.begins), "ends": _iso(night.ends)}


def _more(text: str) -> int:
    number = text.removeprefix("+")
    if not number.isdecimal() or len(number) > 5:
        raise typer.BadParameter(f"--customers is a number to add, such as +100, and {text!r} is none")
    return int(number)


def _clock(text: str | None) -> str | None:
    if text is None:
        return None
    from pydantic import ValidationError

    from capflow_assets.customers.night_settings import NightSettings

    try:
        return NightSettings(start=text).start
    except ValidationError:
        raise typer.BadParameter(f"--at is a time of day, such as 20:00, and {text!r} is none") from None


def _pools(view: Outlook) -> Iterator[str]:
    used = {arrival.job.pool for arrival in view.arrivals}
    for name, pool in view.capacity.items():
        if name in used:
            memory = "" if isinf(pool.memory_gib) else f" in {pool.memory_gib:.1f} GiB"
            yield f"{name} {pool.slots:,}{memory}"


def _longest(night: Plan) -> str:
    return (
        f"the longest {_length(night.longest_wait)} ({night.who_waits_longest})"
        if night.longest_wait
        else "none for long"
    )


def _late(night: Plan) -> Iterator[str]:
    for customer, seconds in list(night.late.items())[:LISTED_LATE]:
        yield f"{customer} by {_length(seconds)}"
    if len(night.late) > LISTED_LATE:
        yield f"{len(night.late) - LISTED_LATE:,} more"


def _changed(plan: Plan) -> str:
    late = f"{len(plan.late):,} late" if plan.late else "nobody late"
    never = f", {len(plan.never):,} never" if plan.never else ""
    return f"takes {_length(plan.makespan)}, {late}{never}"


def _folded(name: str, words: str, width: int = 14) -> Iterator[str]:
    """A name and its words, these folded beside it."""
    import textwrap

    lines = textwrap.wrap(" ".join(words.split()), 79 - width) or [""]
    yield f"{name:<{width}} {lines[0]}"
    yield from (f"{'':<{width}} {line}" for line in lines[1:])


def _length(seconds: float) -> str:
    """A duration as people say it.

    >>> _length(42), _length(600), _length(7380)
    ('42 s', '10 min', '2 h 3 min')
    """
    if seconds < 2 * MINUTES:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTES)
    return f"{minutes} min" if minutes < 2 * MINUTES else f"{minutes // MINUTES} h {minutes % MINUTES} min"


def _clock_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _short(moment: str | None) -> str | None:
    """The time of day of an ISO time.

    >>> _short("2031-06-01T22:05+00:00")
    '22:05'
    """
    return None if moment is None else moment[11:16]


def _finite(value: float) -> float | None:
    return None if isinf(value) else round(value, 3)
