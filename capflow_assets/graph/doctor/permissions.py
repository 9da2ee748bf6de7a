"""Who else may write where CapFlow keeps things."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from capflow_assets.graph.doctor.case import Case, Checks, ok, skipped, warning

MOST_SHOWN = 5


def files(case: Case) -> Checks:
    """Nobody else may write to the home, the customers or the local lake."""
    if not case.home.root.exists():
        yield skipped("there is no home yet")
        return
    open_to_all = [path for path in _kept(case) if path.exists() and path.stat().st_mode & stat.S_IWOTH]
    for path in open_to_all[:MOST_SHOWN]:
        yield warning(f"every user of this machine may write to {path}", f"chmod o-w {path}")
    if len(open_to_all) > MOST_SHOWN:
        yield warning(f"and to {len(open_to_all) - MOST_SHOWN} more", f"chmod -R o-w {case.home.root}")
    if not open_to_all:
        yield ok("home, customers, databases and lake are not open to every user")


def _kept(case: Case) -> Iterator[Path]:
    home = case.home
    yield from (home.root, home.customers, home.dagster, home.dagster / "dagster.yaml", home.root / "mlflow.db")
    yield from sorted(home.customers.glob("*.toml"))
    if not case.in_bucket:
        lake = Path(home.lake)
        yield lake
        if lake.is_dir():
            yield from sorted(path for path in lake.iterdir() if path.is_dir())


CHECKS = (files,)
