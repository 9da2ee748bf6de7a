"""Find the runs whose process is gone, and end them.

Dagster's monitoring asks a launcher about runs, and the launcher of a single host has no answer: a run that was killed
would stay as it was, keep its customer's place in the queue and its slots in pools. They are ended by the next command
on the home, by the daemon (``housekeeping``) and by the doctor. Runs that a cluster launched are left to its launcher.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from capflow_assets.home.places import Home
from capflow_assets.processes.process_locks import lock_store
from capflow_assets.processes.run_processes import HOST, PID, Evidence, answers, evidence

UNDER_WAY = tuple(dg.DagsterRunStatus[name] for name in ("NOT_STARTED", "STARTING", "STARTED", "CANCELING"))
COMMAND = "capflow/command"
LAUNCHED = ".dagster/grpc_info"


@dataclass(frozen=True, slots=True)
class Gone:
    """A run that has not ended though its process is gone, or seems to be."""

    run: dg.DagsterRun
    evidence: Evidence

    def words(self) -> str:
        """The run in words."""
        tags = self.run.tags
        customer = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start") or "no customer"
        where = f"process {tags[PID]} on {tags[HOST]}" if PID in tags and HOST in tags else "no process on record"
        return f"{self.run.run_id[:8]} of {customer} ({where})"


def gone_runs(instance: dg.DagsterInstance, home: Home) -> list[Gone]:
    """The runs under way whose process is gone for certain, or ``seems gone``; or of which no process is on record.

    The last were executed by an earlier version of CapFlow in a terminal; nobody but a person can say if they go on.
    """
    is_local = lock_store(home).is_local
    is_watched = instance.run_launcher.supports_check_run_worker_health
    gone = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY))):
        if is_watched and COMMAND not in run.tags and run.remote_job_origin is not None:
            continue  # its launcher looks after it
        state = evidence(home, run.tags, run.run_id)
        if state == "unknown" and is_local and _has_lost_its_launcher(run):
            state = "seems gone"
        if state in ("gone", "seems gone") or (state == "unknown" and run.remote_job_origin is None):
            gone.append(Gone(run, state))
    return gone


def _has_lost_its_launcher(run: dg.DagsterRun) -> bool:
    """Whether a run that has not come so far as to name its process was launched by a server that is no more.

    A server's socket can be looked for from its own machine alone. A run that outlives its server names its process
    within a minute or two; until then it seems gone.
    """
    place = json.loads(run.tags.get(LAUNCHED) or "{}")
    return run.status == dg.DagsterRunStatus.STARTED and bool(place.get("socket")) and not answers(place["socket"])


def end_gone_runs(
    instance: dg.DagsterInstance, home: Home, may_end: Callable[[Gone], bool] = lambda gone: gone.evidence == "gone"
) -> list[str]:
    """End the runs whose process is gone, as failed or, where they were being cancelled, as cancelled; in words."""
    ended = []
    for gone in gone_runs(instance, home):
        run = instance.get_run_by_id(gone.run.run_id)
        if run is None or run.is_finished or not may_end(gone):
            continue
        why = (
            "Its process is gone: it was killed, or its machine was. "
            "If a step of it was on Databricks, that goes on there until it ends or is stopped."
        )
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, why)
        else:
            instance.report_run_failed(run, why)
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(gone.words())
    return ended
