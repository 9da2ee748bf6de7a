"""All models on customers: what each is judged by, against its baseline, and what was decided.

The customers of the demo, two real ones and two simulated brands, and Online Retail where the variable ``GIFTS_TOML``
names its customer's TOML. Everything is trained in a home of its own, as any customer's is, or in the one that
``MODELS_HOME`` names, where a customer that has run (the demo's home) is not run again. The figures are those of the
newest horizon, which no model learned from. Writes ``bench/models.md``; ``make models`` takes them into the docs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capflow_assets.stores.registry import Registry

TABLE = Path(__file__).with_name("models.md")
NONE = ("–",) * 4
GIFTS, HOME = "GIFTS_TOML", "MODELS_HOME"
HEAD = """# Models on customers

Made by `python -m bench models` on {day}, {version}. `grocer` is The Complete Journey, `records` CDNOW, `boots`
and `cafe` are simulated, all with the demo's small budgets; `gifts` is Online Retail. Intervals are 95 %, by
bootstrap over what each model is about; the difference is paired, above 0 where the model is better than its baseline.
Where nothing was promoted the baseline answers, as the rule.

| model | customer | answers | metric | model's | baseline's | difference | decision |
|---|---|---|---|---|---|---|---|
"""


def run() -> None:
    """Train all models for the customers and write the table."""
    from capflow_assets.demo.tour import customer_files

    with tempfile.TemporaryDirectory(prefix="capflow-models-") as place:
        home = Path(os.environ.get(HOME) or Path(place) / "home")
        files = customer_files(Path(place), users=None)
        files += [Path(os.environ[GIFTS])] if os.environ.get(GIFTS) else []
        names = [_onboarded(home, file) for file in files]
        new = [name for name in names if not (home / "lake" / name / "predictions").is_dir()]
        if new:
            _capflow(home, "run", *new)
        lines = list(_lines(home, names))
    TABLE.write_text("".join([_head(), *lines]), encoding="utf-8")
    print(f"{TABLE}: {len(lines)} models of {len(names)} customers")  # noqa: T201  (a benchmark's result)


def _head() -> str:
    from importlib.metadata import version

    return HEAD.format(day=datetime.now(UTC).date(), version=f"capflow-assets {version('capflow-assets')}")


def _onboarded(home: Path, file: Path) -> str:
    """The customer's name; it is onboarded unless the home knows it."""
    if (home / "customers" / file.name).is_file():
        return file.stem
    return _capflow(home, "onboard", str(file)).split()[1]


def _capflow(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603  (ours)


def _lines(home: Path, customers: Sequence[str]) -> Iterator[str]:
    """A line for each model and customer; of customers who are not ready, the reason."""
    import json

    rows: list[dict[str, Any]] = json.loads(_capflow(home, "status", "--format", "json"))
    rows = [row for row in rows if row["customer"] in customers]
    for row in sorted(rows, key=lambda row: (row["model"], customers.index(row["customer"]))):
        yield _line(row, home)


def _line(row: dict[str, Any], home: Path) -> str:
    cells = [row["model"], row["customer"]]
    version = row["challenger"] or row["champion"]
    if version is None:
        reason = row["reason"].removeprefix(f"{row['status']}: ")
        return _row([*cells, *NONE, "–", f"{row['status']}: {reason}"])
    report = _registry(home).report(row["customer"], row["model"], int(version))
    if report["baseline"] is None:
        return _row([*cells, report["candidate"], *NONE, report["not_judged"]])
    metric, baseline = report["metric"], report["baseline"]
    figures = [metric["name"], _ends(metric), f"{_ends(baseline)} {baseline['name']}", _ends(baseline["difference"])]
    decision = report["decision"]
    return _row([*cells, report["candidate"], *figures, "promoted" if _is_promoted(decision) else decision["reason"]])


def _registry(home: Path) -> Registry:
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import Engine, deployment
    from capflow_assets.home.places import Home

    return deployment(STAGES, SOURCES, home=Home.of(home, {}), engine=Engine()).registry


def _is_promoted(decision: dict[str, Any]) -> bool:
    return bool(decision["action"] == "promote")


def _row(cells: Sequence[str]) -> str:
    """A row of the table; an error of several lines stands in one, and no cell ends early."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |\n"


def _ends(interval: dict[str, Any]) -> str:
    return f"{interval['value']:.4g} [{interval['low']:.4g}, {interval['high']:.4g}]"
