"""Time: this machine's clock against those of the servers it signs requests for, and the zones of the world."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from capflow_assets.doctor.case import Case, Checks, broken, ok, skipped, warning
from capflow_assets.doctor.reach import fetched, s3_endpoint
from capflow_assets.errors import CapflowError

NOTICED_SECONDS = 30
# A request that is signed more than so far off is refused.
REFUSED_SECONDS = 300
SET = "set this machine's clock and keep it set (NTP); in a virtual machine look at the host's as well"


def skew(case: Case) -> Checks:
    """This machine's clock against those of S3, MLflow and Databricks."""
    compared = False
    for name, url in _servers(case):
        compared = True
        before = case.now()
        try:
            date = fetched(url, case, allow_redirects=False).headers.get("Date")
        except CapflowError:
            yield skipped(f"{name} does not answer")
            continue
        middle = before + (case.now() - before) / 2
        if date is None:
            yield skipped(f"{name} tells no time")
            continue
        off = (middle - parsedate_to_datetime(date)).total_seconds()
        words = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} {name}"
        if abs(off) > REFUSED_SECONDS:
            yield broken(f"{words}: signed requests are refused", SET)
        else:
            yield warning(words, SET) if abs(off) > NOTICED_SECONDS else ok(f"within {NOTICED_SECONDS} s of {name}")
    if not compared:
        yield skipped("no server's clock to compare with")


def time_zones(case: Case) -> Checks:
    """The time zone database is there."""
    from zoneinfo import available_timezones

    zones = available_timezones()
    if "Europe/London" in zones:
        yield ok(f"{len(zones)} zones")
    else:
        yield broken(f"{len(zones)} zones, Europe/London not among them", "pip install tzdata, or install it by apt")


def _servers(case: Case) -> Iterator[tuple[str, str]]:
    if case.in_bucket:
        yield "S3", s3_endpoint(case.environment)
    if case.home.mlflow_uri.startswith(("http://", "https://")):
        yield "MLflow", f"{case.home.mlflow_uri.rstrip('/')}/health"
    host = case.environment.get("DATABRICKS_HOST")
    if host:
        yield "Databricks", host if "://" in host else f"https://{host}"


CHECKS = (skew, time_zones)
