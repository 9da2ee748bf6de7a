"""What killed or hasty processes left in Dagster's and MLflow's stores: runs that never end, schemas counted twice.

``end_runs`` and ``mend_schemas`` mend what the checks find; the checks themselves leave everything as it is.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

import dagster as dg

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, ok, warning
from capflow_assets.doctor.daemon import opened_instance
from capflow_assets.graph.gone_runs import Gone, end_gone_runs, gone_runs
from capflow_assets.graph.instance import open_instance
from capflow_assets.home.places import Home
from capflow_assets.processes.postgres_locks import LOOK_SECONDS
from capflow_assets.processes.run_processes import evidence
from capflow_assets.processes.sqlite_schemas import double_schemas, mend_double_schemas

MEND = "capflow doctor --mend"
MOST_NAMED = 10


def schemas(case: Case) -> Checks:
    """Each SQLite store has one number of its schema."""
    doubles = list(double_schemas(case.home))
    for double in doubles[:MOST_NAMED]:
        do = MEND if double.newest else "restore it from a backup: no version of it is known"
        yield broken(double.words(), do, partial(_in_words, mend_schemas, case.home))
    if not doubles:
        yield ok("every store has one number of its schema")


def runs(case: Case) -> Checks:
    """No run is under way whose process is gone."""
    with opened_instance(case) as instance:
        if isinstance(instance, Diagnosis):
            yield instance
            return
        lost_runs = gone_runs(instance, case.home)
    for gone in lost_runs[:MOST_NAMED]:
        words = f"run {gone.words()} has not ended; {_state(gone)}"
        yield warning(words, f"{MEND} ends it", partial(_in_words, end_runs, case.home))
    if len(lost_runs) > MOST_NAMED:
        more = f"and {len(lost_runs) - MOST_NAMED:,} more such runs"
        yield warning(more, f"{MEND} ends them", partial(_in_words, end_runs, case.home))
    if not lost_runs:
        yield ok("every run that has not ended has a process")


def _in_words(mend: Callable[[Home], list[str]], home: Home) -> str:
    """What a mending of all findings of a kind at once did, for one of them."""
    return "; ".join(mend(home.prepare())) or "together with the others"


def _state(gone: Gone) -> str:
    if gone.evidence == "unknown":
        return "an earlier version ran it in a terminal; if that is still open, wait for it"
    return "its process is gone" if gone.evidence == "gone" else "its process, elsewhere, seems gone"


def end_runs(home: Home) -> list[str]:
    """End the runs that ``runs`` finds, in words. A process that seems gone is looked for again after a while."""
    with open_instance(home) as instance:
        return [f"ended run {words}" for words in end_gone_runs(instance, home, lambda gone: _may_end(home, gone))]


def _may_end(home: Home, gone: Gone) -> bool:
    if gone.evidence != "seems gone":
        return True
    time.sleep(1.5 * LOOK_SECONDS)  # in which a process whose line broke takes its locks back
    return evidence(home, gone.run.tags, gone.run.run_id) != "alive"


def mend_schemas(home: Home) -> list[str]:
    """Mend the stores that ``schemas`` finds, in words."""
    done = mend_double_schemas(home)
    if done:
        words = io.StringIO()  # Dagster prints which of its stores it looks at
        opened = dg.DagsterInstance.from_config(str(home.prepare().dagster))
        with opened as instance, redirect_stdout(words), redirect_stderr(words):
            instance.upgrade()  # what the process that made the store left undone
    return done


CHECKS = (schemas, runs)
