"""Submitted runs: what a run and its tasks are, and what ``runs/get`` says of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from capflow_assets_doubles.databricks.compute import Cluster, Process
from capflow_assets_doubles.databricks.wire import Principal

ENDED = ("TERMINATED", "INTERNAL_ERROR", "SKIPPED")
KINDS = ("spark_python_task", "python_wheel_task")
# How a run that ended is described beside its result: code and type of the termination details.
ENDINGS = {
    "SUCCESS": ("SUCCESS", "SUCCESS"),
    "FAILED": ("RUN_EXECUTION_ERROR", "CLIENT_ERROR"),
    "CANCELED": ("USER_CANCELED", "SUCCESS"),
    "TIMEDOUT": ("CANCELED", "CLIENT_ERROR"),
    "UPSTREAM_FAILED": ("SKIPPED", "CLIENT_ERROR"),
    "UPSTREAM_CANCELED": ("SKIPPED", "CLIENT_ERROR"),
}


@dataclass
class State:
    """Where a run or a task is in its life."""

    life: str = "PENDING"
    result: str | None = None
    message: str = ""
    ending: tuple[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.life in ENDED

    def described(self) -> dict[str, Any]:
        """The old ``state`` and the new ``status`` of Jobs 2.2."""
        is_stopped = self.result in ("CANCELED", "TIMEDOUT")
        state = {"life_cycle_state": self.life, "state_message": self.message, "user_cancelled_or_timedout": is_stopped}
        if not self.ended:
            return {"state": state, "status": {"state": self.life}}
        if self.result:
            state["result_state"] = self.result
        code, kind = self.ending or ENDINGS[self.result or "FAILED"]
        details = {"code": code, "type": kind, "message": self.message}
        return {"state": state, "status": {"state": "TERMINATED", "termination_details": details}}


@dataclass
class TaskRun:
    """One task of a run: a run with an id of its own."""

    run_id: int
    spec: dict[str, Any]
    cluster: Cluster
    state: State = field(default_factory=State)
    started: float = field(default_factory=time.time)
    executed: float | None = None
    ended: float | None = None
    process: Process | None = None
    failure: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return str(self.spec["task_key"])

    def described(self, page: str) -> dict[str, Any]:
        """As one of ``tasks`` in ``runs/get``."""
        kept = {name: value for name, value in self.spec.items() if value is not None}
        said = {
            **kept,
            "run_id": self.run_id,
            "run_page_url": f"{page}/run/{self.run_id}",
            "attempt_number": 0,
            **times(self.started, self.executed, self.ended),
            **self.state.described(),
        }
        if self.cluster.cluster_id and self.cluster.events:  # no instance is named before one is asked for
            said["cluster_instance"] = {"cluster_id": self.cluster.cluster_id}
            if self.executed:
                said["cluster_instance"]["spark_context_id"] = str(self.run_id)
        return said


@dataclass
class Run:
    """A submitted run."""

    run_id: int
    job_id: int
    name: str
    owner: Principal
    viewers: set[str]
    token: str
    timeout_s: float
    request: dict[str, Any]
    tasks: list[TaskRun] = field(default_factory=list)
    state: State = field(default_factory=State)
    started: float = field(default_factory=time.time)
    ended: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def visible(self, caller: Principal) -> bool:
        return caller.admin or caller.name == self.owner.name or caller.name in self.viewers

    def described(self, host: str) -> dict[str, Any]:
        """As ``runs/get`` gives it."""
        page = f"{host}/?o=0#job/{self.job_id}"
        executed = min((task.executed for task in self.tasks if task.executed), default=None)
        said = {
            "job_id": self.job_id,
            "run_id": self.run_id,
            "number_in_job": self.run_id,
            "original_attempt_run_id": self.run_id,
            "run_name": self.name,
            "run_type": "SUBMIT_RUN",
            "run_page_url": f"{page}/run/{self.run_id}",
            "creator_user_name": self.owner.name,
            "tasks": [task.described(page) for task in self.tasks],
            **times(self.started, executed, self.ended),
            **self.state.described(),
        }
        if self.timeout_s:
            said["timeout_seconds"] = int(self.timeout_s)
        return said


def times(started: float, executed: float | None, ended: float | None) -> dict[str, int]:
    """The times of a run in milliseconds, 0 where something has not happened."""
    setup = (executed or ended or started) - started
    return {
        "start_time": int(started * 1000),
        "end_time": int((ended or 0) * 1000),
        "setup_duration": int(setup * 1000),
        "execution_duration": int((ended - executed) * 1000) if ended and executed else 0,
        "cleanup_duration": 0,
        "run_duration": int((ended - started) * 1000) if ended else 0,
    }
