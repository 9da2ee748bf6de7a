"""Who else may read or write what CapFlow keeps, and reach the engine that reads and writes it."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from capflow_assets.doctor.case import Case, Checks, ok, skipped, warning

MOST_SHOWN = 5
FIRST_PERSON = 1000
NO_LOGIN = ("nologin", "false", "sync", "")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
ANOTHER_ENGINE = (
    "use a Spark Connect server that asks for a token: CAPFLOW_ENGINE='sc://host:port/;use_ssl=true;token=…'"
)


def files(case: Case) -> Checks:
    """Nobody else may write to the home, the customers or the local lake."""
    if not case.home.root.exists():
        yield skipped("there is no home yet")
        return
    open_to_all = [path for path in _protected_files(case) if path.exists() and path.stat().st_mode & stat.S_IWOTH]
    for path in open_to_all[:MOST_SHOWN]:
        yield warning(f"every user of this machine may write to {path}", f"chmod o-w {path}")
    if len(open_to_all) > MOST_SHOWN:
        yield warning(f"and to {len(open_to_all) - MOST_SHOWN} more", f"chmod -R o-w {case.home.root}")
    if not open_to_all:
        yield ok("home, customers, databases and lake are not open to every user")


def readers(case: Case) -> Checks:
    """Nobody else may read the customers' keys, or on a machine with other users their rows."""
    keys = case.home.root / "keys"
    key_files = [keys, *sorted(keys.iterdir())] if keys.is_dir() else []
    shown = [path for path in key_files if path.stat().st_mode & OTHERS]
    if shown:
        yield warning(f"others may read the keys that personal data is hashed with: {shown[0]}", f"chmod -R go= {keys}")
    others = other_users()
    for folder in _folders_of_rows(case) if others else ():
        if folder.is_dir() and folder.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH):
            yield warning(f"every user of this machine ({_listed(others)}) may read {folder}", f"chmod o= {folder}")
            return
    if not shown:
        yield ok("keys and rows are read by this user and its group alone" if others else "nobody else is here to read")


def engine(case: Case) -> Checks:
    """Nobody else may connect to the engine, which reads and writes whatever this user may."""
    name = case.home.engine
    if name == "cluster":
        yield skipped("CAPFLOW_ENGINE=cluster: the cluster keeps its session to itself")
    elif name != "sail":
        if "token=" in name:
            yield ok("the other Spark Connect server is given a token")
        else:
            yield warning("CAPFLOW_ENGINE names no token: whoever reaches that server reads the lake", ANOTHER_ENGINE)
    else:
        from capflow_assets.home.session import embedded

        why = embedded().exposed
        others = other_users() if why else []
        if others:
            finding = (
                f"other users of this machine ({_listed(others)}) can connect to the engine and read the lake: {why}"
            )
            yield warning(finding, f"run CapFlow on a machine or in a container of its own, or {ANOTHER_ENGINE}")
        else:
            yield ok("nobody else is here to connect to the engine" if why else "no other process can connect to it")


def other_users() -> list[str]:
    """Who else uses this machine: accounts of people, and whoever runs something; root aside, who may do anything."""
    people = {
        account.pw_uid
        for account in pwd.getpwall()
        if account.pw_uid >= FIRST_PERSON and Path(account.pw_shell).name not in NO_LOGIN
    }
    return sorted(_name(uid) for uid in people | set(_running()) if uid not in (0, os.geteuid()))


def _running() -> Iterator[int]:
    processes = Path("/proc")
    for process in processes.iterdir() if processes.is_dir() else ():
        if process.name.isdigit():
            try:
                yield process.stat().st_uid
            except OSError:  # it has ended
                continue


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more


def _folders_of_rows(case: Case) -> list[Path]:
    """The home, and the lake where that is a folder elsewhere."""
    lake = Path(case.home.lake)
    is_elsewhere = not case.in_bucket and not lake.is_relative_to(case.home.root)
    return [case.home.root, *([lake] if is_elsewhere else [])]


def _protected_files(case: Case) -> Iterator[Path]:
    home = case.home
    yield from (home.root, home.customers, home.dagster, home.dagster / "dagster.yaml", home.root / "mlflow.db")
    yield from sorted(home.customers.glob("*.toml"))
    if not case.in_bucket:
        lake = Path(home.lake)
        yield lake
        if lake.is_dir():
            yield from sorted(path for path in lake.iterdir() if path.is_dir())


CHECKS = (files, readers, engine)
