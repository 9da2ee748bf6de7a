"""Dagster's daemon, without which nothing runs by itself: it beats, and its sensors work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import dagster as dg

from capflow_assets.doctor.case import Case, Checks, Diagnosis, ok, skipped, warning
from capflow_assets.home.databases import looked_at

FRESH_SECONDS = 300
START = "start it where it should run: capflow ui, or dagster-daemon run"


def heartbeat(case: Case) -> Checks:
    """Dagster's daemon runs."""
    with opened_instance(case) as instance:
        if isinstance(instance, Diagnosis):
            yield instance
            return
        beats = instance.get_daemon_heartbeats()
        required = instance.get_required_daemon_types()
    if not beats:
        yield warning("no daemon has ever run here: no schedule, sensor, queue or backfill works", START)
        return
    now = case.now().timestamp()
    old = {kind: now - beats[kind].timestamp for kind in required if kind in beats}
    late = [kind for kind in required if old.get(kind, FRESH_SECONDS + 1) > FRESH_SECONDS]
    if len(late) == len(required):
        yield warning(f"no sign of life for {min(old.values(), default=0) / 60:,.0f} minutes", START)
    elif late:
        yield warning(f"no sign of life of {', '.join(sorted(late)).lower()}", "read the daemon's log, start it again")
    else:
        yield ok(f"last sign of life {max(old.values()):,.0f} s ago")
    for kind, beat in sorted(beats.items()):
        if kind in required and kind not in late and beat.errors:
            words = beat.errors[0].message.strip().splitlines()[0]
            yield warning(f"{kind.lower()} daemon: {words[:200]}", "read the daemon's log")


def sensors(case: Case) -> Checks:
    """Sensors are on and their last tick was no failure."""
    from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType, TickStatus

    with opened_instance(case) as instance:
        if isinstance(instance, Diagnosis):
            yield instance
            return
        states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        # Pairs: a state holds dicts and can be no key.
        last = [(state, instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)) for state in states]
    if not states:
        yield skipped("none has run yet")
        return
    good = []
    for state, ticks in last:
        if state.status == InstigatorStatus.STOPPED:
            yield warning(f"{state.instigator_name} is off", "turn it on in Dagster: Automation")
        elif ticks and ticks[0].status == TickStatus.FAILURE:
            words = ticks[0].error.message.strip().splitlines()[0] if ticks[0].error else "no reason kept"
            yield warning(f"{state.instigator_name} failed: {words[:200]}", "read its last tick in Dagster: Automation")
        else:
            good.append(state.instigator_name)
    if good:
        yield ok(f"{', '.join(sorted(good))} on")


@contextmanager
def opened_instance(case: Case) -> Iterator[dg.DagsterInstance | Diagnosis]:
    """The home's Dagster, or why it is not looked at; nothing is made for it."""
    if not (case.home.dagster / "dagster.yaml").exists():
        yield skipped("nothing has run in this home yet")
        return
    url = case.environment.get("CAPFLOW_POSTGRES_URL")
    if url and not _answers(url, case):
        yield skipped("Dagster's database does not answer: see services.dagster")
        return
    # As every command does: Dagster's file may refer to it.
    os.environ["DAGSTER_HOME"] = str(case.home.dagster)
    with nullcontext() if case.home.is_writable else looked_at(case.home):
        try:
            opened = dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"])
        except Exception:
            yield skipped("Dagster's storage cannot be opened: see configuration.dagster and services.dagster")
            return
        with opened as instance:
            yield instance


def _answers(url: str, case: Case) -> bool:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    patience = {"connect_timeout": max(2, round(case.connect_seconds))}
    try:
        sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=patience).connect().close()
    except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError):
        return False
    return True


CHECKS = (heartbeat, sensors)
