"""Where customers' tables come from: something is there, and what is needed to open it is set. No row is read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from capflow_assets.customers.customer import Customer
from capflow_assets.customers.table_inputs import Origin
from capflow_assets.doctor.case import Case, Checks, broken, first_line, ok, skipped
from capflow_assets.doctor.reach import aws, refusal
from capflow_assets.errors import CapflowError
from capflow_assets.home.secret_variables import named_variables

PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mongodb": 27017, "mssql": 1433, "oracle": 1521}
AT_ONCE = 8
SHARE_OF_TIME = 0.6


def variables(case: Case) -> Checks:
    """The variables that customers' sources name for credentials are set."""
    named = 0
    for customer in _readable(case):
        for origin in customer.origins():
            for name in named_variables(origin.options):
                named += 1
                if not case.environment.get(name):
                    do = "set it for every process that runs this customer, the daemon's too"
                    yield broken(f"{customer.name}, {origin.shown}: {name} is not set", do)
    if not named:
        yield skipped("no source names a variable")
    else:
        yield ok(f"{named} looked up")


def reachable(case: Case) -> Checks:
    """Every declared table's files are there, or its server answers."""
    origins = [(customer, origin) for customer in _readable(case) for origin in customer.origins()]
    if not origins:
        yield skipped("no customer's file can be read: see configuration.customers")
        return
    until = time.monotonic() + SHARE_OF_TIME * case.check_seconds

    def absence(pair: tuple[Customer, Origin]) -> str | None:
        return _absence(case, *pair) if time.monotonic() < until else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        absences = list(pool.map(absence, origins))
    for (customer, origin), why in zip(origins, absences, strict=True):
        if why:
            do = "see whether the export ran; mend location in the customer's TOML"
            yield broken(f"{customer.name}, {origin.shown}: {why}", do)
    if absences.count(""):
        yield ok(f"{absences.count('')} of {len(origins)} tables are there")
    if absences.count(None):
        yield skipped(
            f"no time for {absences.count(None)} of {len(origins)} tables; --customer looks at one customer's"
        )


def _readable(case: Case) -> Iterator[Customer]:
    """The customers whose files are right; configuration.customers tells of the others."""
    for name in case.customers:
        try:
            yield case.deployment.customer(name)
        except CapflowError:
            continue


def _absence(case: Case, customer: Customer, origin: Origin) -> str:
    """Why a table cannot be opened; empty where something is there."""
    try:
        location = customer.located(origin.location)
        if location.startswith("s3://"):
            return "" if is_in_bucket(case, location) else f"nothing at {location}"
        if "://" in location:
            return unanswered(location, case.connect_seconds)
        path = Path(location)
        there = path.exists() or any(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        return "" if there else f"nothing at {location}"
    except Exception as error:
        return first_line(error)


def is_in_bucket(case: Case, location: str) -> bool:
    """Whether a key, a folder or the fixed beginning of a glob is there."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    fixed = re.split(r"[*?\[]", key)[0]
    objects = aws(case, "s3").list_objects_v2(Bucket=bucket, Prefix=fixed, MaxKeys=100).get("Contents", [])
    names = [entry["Key"] for entry in objects]
    return any(fixed != key or name == key or name.startswith(f"{key.rstrip('/')}/") for name in names)


def unanswered(location: str, seconds: float) -> str:
    """Why a server (of several, the first) does not answer; one whose port is not known is left to the run."""
    parts = urlsplit(location)
    first = urlsplit(f"//{parts.netloc.split(',')[0]}")
    known = None if parts.scheme.endswith("+srv") else PORTS.get(parts.scheme.split("+")[0])
    port = first.port or known
    return refusal(first.hostname, port, seconds) if first.hostname and port else ""


CHECKS = (variables, reachable)
