"""One submitted Databricks run: what is submitted for which compute, how its state is read, how it is cancelled.

Calls that fail because the workspace is out of reach are tried again for as long as the settings say; a submission
carries a token of its own, so that one whose answer was lost is not run twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from capflow_assets.errors import CapflowError
from capflow_assets.graph.databricks.settings import Existing, New, Serverless, Settings

TASK = "step"
TAG_CHARACTERS = 255
# How long a cancelled run is waited for, so that it writes nothing any more.
CANCEL_WAIT_S = 30
ENDED = ("TERMINATED", "TERMINATING", "INTERNAL_ERROR", "SKIPPED")
Found = TypeVar("Found")


class ComputeError(CapflowError):
    """The compute failed, not the work on it: another try may succeed."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One step on its way: its name for people, what its staged files begin with, where it runs, and for whom."""

    name: str
    place: str
    compute_name: str
    compute: Existing | Serverless | New
    customers: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class DatabricksRun:
    """A submitted run. ``running`` once its compute has begun to work."""

    client: Any
    settings: Settings
    run_id: int
    compute_name: str
    url: str = ""
    running: bool = False

    @classmethod
    def submit(
        cls,
        client: Any,
        settings: Settings,
        submission: Submission,
        *,
        work: Mapping[str, Any],
        libraries: Sequence[Mapping[str, Any]],
        size_bytes: Callable[[], int | None],
    ) -> DatabricksRun:
        """Submit the step. ``size_bytes`` is asked only where a cluster is to be sized by it."""
        body = request(settings, submission, work, libraries, size_bytes)
        answer = reached(lambda: client.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=body), settings)
        run = cls(client, settings, int(answer["run_id"]), submission.compute_name)
        host = str(client.config.host or "").rstrip("/")
        run.url = f"{host}/jobs/runs/{run.run_id}" if host else ""
        return run

    def look(self, elapsed: float) -> CapflowError | None:
        """Ask for the run's state: None while it may go on, else the error that tells how it ended."""
        run = reached(lambda: self.client.jobs.get_run(self.run_id), self.settings, self.url)
        self.url = run.run_page_url or self.url
        state = run.state
        life = state.life_cycle_state.value if state and state.life_cycle_state else "PENDING"
        result = state.result_state.value if state and state.result_state else ""
        if life in ENDED and (result or life != "TERMINATING"):
            return self._ended(run, result or life)
        self.running = life in ("RUNNING", "TERMINATING")
        if not self.running and elapsed > 60 * self.settings.start_minutes:
            return ComputeError(
                f"Databricks run {self.run_id} had not started after {self.settings.start_minutes:g} minutes and was "
                "cancelled",
                expected=f"{self.compute_name} to start (start_minutes)",
                came=f"{life}: {(state.state_message if state else '') or 'no word'}",
                where=self.url,
                do="look at the cluster's event log: quota, pool size, spot capacity, policy",
            )
        if elapsed > 3600 * self.settings.longest_hours:
            return self._too_long(f"{elapsed / 3600:.2f} hours")
        return None

    def stopped(self, elapsed: float) -> CapflowError | None:
        """The error of a run that was cancelled or ran out of time, for a step that was broken off by just that."""
        until = time.monotonic() + CANCEL_WAIT_S
        while time.monotonic() < until:
            error = self.look(elapsed)
            if error is not None:
                return None if isinstance(error, ComputeError) else error
            time.sleep(self.settings.poll_seconds)
        return None

    def _ended(self, run: Any, how: str) -> CapflowError:
        """The error for a run that ended before its step did."""
        detail = getattr(getattr(run.status, "termination_details", None), "message", "") or ""
        said = (text.strip() for text in (run.state.state_message or "", detail))
        words = "; ".join(dict.fromkeys(text for text in said if text)) or "no word of why"
        if how == "TIMEDOUT":
            return self._too_long(words)
        if how == "CANCELED":
            what = f"Databricks run {self.run_id} was cancelled in Databricks"
            return CapflowError(what, came=words, where=self.url, do="run it again")
        return ComputeError(
            f"Databricks run {self.run_id} on {self.compute_name} ended as {how} before its step did",
            came=words + self._output(run),
            where=self.url,
            do="look at the cluster's event log and the driver's log; memory and spot loss are the usual reasons",
        )

    def _too_long(self, received: str) -> CapflowError:
        what = f"Databricks run {self.run_id} took too long and was stopped"
        expected = f"at most {self.settings.longest_hours:g} hours (longest_hours)"
        do = "allow more, give it more workers, or make the cohort smaller"
        return CapflowError(what, expected=expected, came=received, where=self.url, do=do)

    def _output(self, run: Any) -> str:
        """The last output of the task itself, if Databricks still has it."""
        try:
            output = self.client.jobs.get_run_output(run.tasks[0].run_id)
        except Exception:  # a dead cluster has none
            return ""
        text = "\n".join(part for part in (output.error, output.error_trace) if part)
        return f"\n{text[-3000:]}" if text else ""

    def cancel(self, say: Callable[[str], None]) -> None:
        """Stop the run in Databricks and wait a while until it has stopped; never raises."""
        until = time.monotonic() + CANCEL_WAIT_S
        try:
            from databricks.sdk.service.jobs import RunLifeCycleState as Life

            self.client.jobs.cancel_run(self.run_id)
            while time.monotonic() < until:
                state = self.client.jobs.get_run(self.run_id).state
                if state is None or state.result_state or state.life_cycle_state in (Life.INTERNAL_ERROR, Life.SKIPPED):
                    return
                time.sleep(self.settings.poll_seconds)
        except Exception as error:  # the step ends anyway, and the time-out stops the run
            say(f"Databricks run {self.run_id} could not be cancelled, stop it by hand: {self.url} ({error})")


def reached(call: Callable[[], Found], settings: Settings, where: str = "") -> Found:
    """The answer to a call, asked again while the workspace is out of reach.

    Raises:
        ComputeError: it stayed out of reach longer than allowed.
        CapflowError: it refused the call.
    """
    from databricks.sdk.errors.base import DatabricksError
    from requests.exceptions import RequestException

    until = time.monotonic() + 60 * settings.lost_minutes
    while True:
        try:
            return call()
        except DatabricksError as error:
            if not is_passing(error):
                code = getattr(error, "error_code", None) or type(error).__name__
                said, do = str(error).split(" Config: ")[0], "capflow doctor tells what this identity may do"
                raise CapflowError("Databricks refused a call", came=f"{code}: {said}", do=do) from None
            reason: Exception = error
        except (RequestException, TimeoutError) as error:
            reason = error
        if time.monotonic() > until:
            raise ComputeError(
                f"Databricks was out of reach for more than {settings.lost_minutes:g} minutes (lost_minutes)",
                came=type(reason).__name__,
                where=where,
                do="check the network and the workspace's status page, then run it again",
            ) from None
        time.sleep(settings.poll_seconds)


def is_passing(error: Exception) -> bool:
    """Whether a refusal is one that passes by itself."""
    from databricks.sdk.errors import DeadlineExceeded, InternalError, TemporarilyUnavailable, TooManyRequests

    return isinstance(error, DeadlineExceeded | InternalError | TemporarilyUnavailable | TooManyRequests)


def request(
    settings: Settings,
    submission: Submission,
    work: Mapping[str, Any],
    libraries: Sequence[Mapping[str, Any]],
    size_bytes: Callable[[], int | None],
) -> dict[str, Any]:
    """The body of ``jobs/runs/submit`` for a task's ``work`` and the libraries that bring our code."""
    compute = submission.compute
    task: dict[str, Any] = {"task_key": TASK, **work}
    body: dict[str, Any] = {
        "run_name": f"capflow {submission.name}"[:4096],
        "tasks": [task],
        "timeout_seconds": int(settings.longest_hours * 3600),
        "idempotency_token": submission.token,
    }
    if settings.can_view:
        body["access_control_list"] = [
            {"group_name": group, "permission_level": "CAN_VIEW"} for group in settings.can_view
        ]
    if isinstance(compute, Serverless):
        spec = {
            "environment_version": compute.environment_version,
            "dependencies": [*(library["whl"] for library in libraries), *compute.dependencies],
        }
        body["environments"] = [{"environment_key": "default", "spec": spec}]
        task["environment_key"] = "default"
        if compute.budget_policy_id:
            body["budget_policy_id"] = compute.budget_policy_id
        return body
    more = compute.libraries if isinstance(compute, New) else []
    task["libraries"] = [*libraries, *({"pypi": {"package": package}} for package in more)]
    if isinstance(compute, Existing):
        task["existing_cluster_id"] = compute.cluster_id
    else:
        task["new_cluster"] = cluster(compute, submission, size_bytes())
    return body


def cluster(compute: New, submission: Submission, size_bytes: int | None) -> dict[str, Any]:
    """The new cluster of a run: sized by the cohort's bytes, tagged with its customers and costs.

    A cohort whose size is not known yet, since it has never landed, may grow to the most workers.
    """
    least, most = compute.workers(size_bytes) if size_bytes else (compute.min_workers, compute.max_workers)
    customers = ",".join(submission.customers)
    tags = {
        **compute.tags,
        **submission.tags,
        "capflow_customers": customers
        if len(customers) <= TAG_CHARACTERS
        else f"{len(submission.customers)} customers",
    }
    spec: dict[str, Any] = {
        "spark_version": compute.spark_version,
        "data_security_mode": "SINGLE_USER" if compute.access == "dedicated" else "USER_ISOLATION",
        "autoscale": {"min_workers": least, "max_workers": most},
        "custom_tags": {name[:127]: value[:TAG_CHARACTERS] for name, value in tags.items()},
    }
    if least == most:
        spec.pop("autoscale")
        spec["num_workers"] = most
    named = ("node_type_id", "instance_pool_id", "driver_node_type_id", "driver_instance_pool_id", "policy_id")
    spec |= {name: getattr(compute, name) for name in (*named, "single_user_name") if getattr(compute, name)}
    aws: dict[str, Any] = {}
    if compute.spot:
        aws |= {"availability": "SPOT_WITH_FALLBACK", "first_on_demand": 1}
    if compute.instance_profile_arn:
        aws["instance_profile_arn"] = compute.instance_profile_arn
    if aws:
        spec["aws_attributes"] = aws
    if compute.spark_conf:
        spec["spark_conf"] = dict(compute.spark_conf)
    return spec
