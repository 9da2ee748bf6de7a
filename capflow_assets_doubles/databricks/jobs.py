"""The Jobs API, 2.1 and 2.2: submit, look, cancel; and the life of a run from PENDING to its end."""

from __future__ import annotations

import itertools
import json
import secrets
import signal
import threading
import time
from typing import Any

from capflow_assets_doubles.databricks.compute import Cluster, Compute, LibraryError
from capflow_assets_doubles.databricks.faults import Faults
from capflow_assets_doubles.databricks.runs import KINDS, Run, State, TaskRun
from capflow_assets_doubles.databricks.storage import Storage
from capflow_assets_doubles.databricks.wire import ApiError, Principal, Request, Routes

LOGS = 5 * 1024 * 1024
POLL_S = 0.02
GRACE_S = 2.0
DRIVER_DIED = (
    "The spark driver has stopped unexpectedly and is restarting. Your notebook will be automatically reattached."
)


class Jobs:
    """Runs of a workspace."""

    def __init__(self, compute: Compute, storage: Storage, faults: Faults) -> None:
        self._compute, self._storage, self._faults = compute, storage, faults
        self._numbers = itertools.count(int(time.time()) % 1_000_000 * 1_000 + 1)
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], int] = {}
        self.runs: dict[int, Run] = {}
        self.host = ""

    def routes(self, routes: Routes) -> None:
        """Say what is answered where."""
        for method, name, handler in (
            ("POST", "submit", self._submit),
            ("GET", "get", self._get),
            ("GET", "get-output", self._output),
            ("GET", "list", self._list),
            ("POST", "cancel", self._cancel),
        ):
            routes.add(method, rf"/api/2\.[12]/jobs/runs/{name}", handler)

    def owner_of(self, token: str) -> Principal | None:
        """The principal whose run holds this token, while the run goes on."""
        for run in list(self.runs.values()):
            if not run.state.ended and secrets.compare_digest(run.token, token):
                return run.owner
        return None

    def kill_driver(self, run_id: int) -> None:
        """Kill the processes of a run (SIGKILL), as when its machine runs out of memory."""
        for task in self.runs[run_id].tasks:
            if task.process:
                task.process.signal(signal.SIGKILL)

    def close(self) -> None:
        for run in self.runs.values():
            run.cancelled.set()
        for run in self.runs.values():
            if run.thread:
                run.thread.join(timeout=20)

    # Calls

    def _submit(self, request: Request) -> dict[str, Any]:
        fields = request.fields
        token = fields.get("idempotency_token")
        if token and len(token) > 64:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "idempotency_token must have at most 64 characters")
        with self._lock:
            known = self._tokens.get((request.principal.name, token)) if token else None
            if known is not None:
                return {"run_id": known}
            run = self._new_run(fields, request.principal)
            if token:
                self._tokens[request.principal.name, token] = run.run_id
        run.thread = threading.Thread(target=self._live, args=(run,), daemon=True, name=f"run-{run.run_id}")
        run.thread.start()
        return {"run_id": run.run_id}

    def _new_run(self, fields: dict[str, Any], owner: Principal) -> Run:
        specs = fields.get("tasks") or []
        if not specs:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "One of job_cluster_key, new_cluster or tasks is required")
        for spec in specs:
            self._check(spec, fields)
        access = fields.get("access_control_list") or []
        viewers = {str(grant.get("user_name") or grant.get("service_principal_name")) for grant in access}
        run = Run(
            run_id=next(self._numbers),
            job_id=next(self._numbers),
            name=fields.get("run_name") or "Untitled",
            owner=owner,
            viewers=viewers,
            token=f"dapi-run-{secrets.token_hex(16)}",
            timeout_s=float(fields.get("timeout_seconds") or 0),
            request=fields,
        )
        run.tasks = [TaskRun(next(self._numbers), spec, self._cluster(spec)) for spec in specs]
        self.runs[run.run_id] = run
        return run

    def _check(self, spec: dict[str, Any], fields: dict[str, Any]) -> None:
        wrong = None
        key, existing = spec.get("task_key"), spec.get("existing_cluster_id")
        serverless = not existing and not spec.get("new_cluster")
        environments = {environment.get("environment_key") for environment in fields.get("environments") or []}
        if not key:
            wrong = "task_key is required"
        elif sum(spec.get(kind) is not None for kind in KINDS) != 1:
            wrong = f"Task {key} must have exactly one of {', '.join(KINDS)}"
        elif existing and spec.get("new_cluster"):
            wrong = f"Task {key} must specify one of existing_cluster_id or new_cluster, not both"
        elif existing and existing not in self._compute.clusters:
            wrong = f"Cluster {existing} does not exist"
        elif serverless and spec.get("libraries"):
            wrong = (
                f"Libraries field is not supported for serverless task, please specify libraries in environment: {key}"
            )
        elif serverless and spec.get("environment_key") not in environments:
            wrong = f"An environment is required for serverless task {key}"
        if wrong:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", wrong)

    def _cluster(self, spec: dict[str, Any]) -> Cluster:
        if spec.get("existing_cluster_id"):
            cluster = self._compute.clusters[spec["existing_cluster_id"]]
            if not cluster.events:
                cluster.now("RUNNING", "RUNNING")
            return cluster
        if not spec.get("new_cluster"):
            return Cluster(None, "serverless")
        cluster = self._compute.add(dict(spec["new_cluster"]))
        cluster.state = "PENDING"
        return cluster

    def _get(self, request: Request) -> dict[str, Any]:
        run, task = self._run_and_task(request)
        if task is None:
            return run.described(self.host)
        alone = {**run.described(self.host), **task.described(f"{self.host}/?o=0#job/{run.job_id}")}
        return alone | {"tasks": [task.described(self.host)]}

    def _output(self, request: Request) -> dict[str, Any]:
        run, task = self._run_and_task(request)
        if task is None:
            words = "Retrieving the output of runs with multiple tasks is not supported. "
            words += "Please retrieve the output of each individual task run instead."
            raise ApiError(400, "INVALID_PARAMETER_VALUE", words)
        output: dict[str, Any] = {"metadata": task.described(f"{self.host}/?o=0#job/{run.job_id}"), **task.failure}
        if task.process:
            logs = (task.process.folder / "stdout").read_bytes()
            output |= {"logs": logs[-LOGS:].decode(errors="replace"), "logs_truncated": len(logs) > LOGS}
        return output

    def _list(self, request: Request) -> dict[str, Any]:
        query = request.query
        runs = [run for run in self.runs.values() if run.visible(request.principal)]
        if query.get("active_only") == "true":
            runs = [run for run in runs if not run.state.ended]
        if query.get("completed_only") == "true":
            runs = [run for run in runs if run.state.ended]
        newest = sorted(runs, key=lambda run: -run.run_id)[: int(query.get("limit", 20))]
        return {"runs": [run.described(self.host) for run in newest], "has_more": False}

    def _cancel(self, request: Request) -> dict[str, Any]:
        self._run_and_task(request)[0].cancelled.set()
        return {}

    def _run_and_task(self, request: Request) -> tuple[Run, TaskRun | None]:
        """The run with this id, or the run and the task that has it."""
        run_id = int(request.need("run_id"))
        for run in list(self.runs.values()):
            task = next((task for task in run.tasks if task.run_id == run_id), None)
            if run.run_id == run_id or task:
                if not run.visible(request.principal):
                    words = (
                        f"{request.principal.name} does not have View or Admin or Owner permissions on job {run.job_id}"
                    )
                    raise ApiError(403, "PERMISSION_DENIED", words)
                return run, task
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")

    # Life

    def _live(self, run: Run) -> None:
        run.state = State("PENDING", message="Waiting for cluster")
        for task in run.tasks:
            needed = {dependency["task_key"] for dependency in task.spec.get("depends_on") or []}
            bad = [other for other in run.tasks if other.key in needed and other.state.result != "SUCCESS"]
            if bad:
                upstream = "UPSTREAM_CANCELED" if bad[0].state.result == "CANCELED" else "UPSTREAM_FAILED"
                task.state = State("SKIPPED", upstream, f"Task {bad[0].key} did not succeed.")
            else:
                self._live_task(run, task)
            task.ended = time.time()
        run.ended = time.time()
        run.state = _of_all(run.tasks)

    def _live_task(self, run: Run, task: TaskRun) -> None:
        limits = [limit for limit in (run.timeout_s, float(task.spec.get("timeout_seconds") or 0)) if limit]
        until = run.started + min(limits) if limits else float("inf")
        try:
            task.state = State("PENDING", message="Waiting for cluster")
            self._start_cluster(run, task, until)
            task.process = self._compute.start(
                task.cluster, self._described(task, run), run.owner, self.host, run.token
            )
            task.executed = time.time()
            task.state = run.state = State("RUNNING", message="In run")
            task.state = self._watched(run, task, until)
        except _EndedError as end:
            task.state = end.state
        except LibraryError as error:
            ending = ("LIBRARY_INSTALLATION_ERROR", "CLIENT_ERROR")
            task.state = State("INTERNAL_ERROR", "FAILED", str(error), ending)
        except Exception as error:  # a defect of this workspace must not look like a run that goes on
            words = f"{type(error).__name__}: {error}"
            task.state = State("INTERNAL_ERROR", "FAILED", words, ("INTERNAL_ERROR", "INTERNAL_ERROR"))

    def _start_cluster(self, run: Run, task: TaskRun, until: float) -> None:
        cluster, begun = task.cluster, time.time()
        if "new_cluster" in task.spec:
            cluster.now("PENDING", "CREATING", "Finding instances for new nodes, acquiring more instances if necessary")
        while self._faults.never_starts or time.time() - begun < self._faults.start_delay_s:
            _stop_if_due(run, until)
            time.sleep(POLL_S)
        _stop_if_due(run, until)
        code = self._faults.start_failure
        if code:
            reason = {"code": code, "type": "CLOUD_FAILURE", "parameters": {"databricks_error_message": code.lower()}}
            cluster.now("TERMINATED", "TERMINATING", f"Cluster terminated. Reason: {code}", reason)
            words = f"Unexpected failure while waiting for the cluster ({cluster.cluster_id}) to be ready: Cluster "
            words += f"{cluster.cluster_id} is in unexpected state Terminated: {code}(CLOUD_FAILURE): "
            words += f"databricks_error_message:{code.lower()}"
            raise _EndedError(State("INTERNAL_ERROR", "FAILED", words, ("CLUSTER_ERROR", "CLOUD_FAILURE")))
        if "new_cluster" in task.spec:
            cluster.now("RUNNING", "RUNNING")

    def _described(self, task: TaskRun, run: Run) -> dict[str, Any]:
        """What the driver needs: the code, the parameters, the libraries."""
        kind = next(kind for kind in KINDS if task.spec.get(kind))
        body = dict(task.spec[kind])
        named = [f"--{name}={value}" for name, value in (body.pop("named_parameters", None) or {}).items()]
        if kind == "spark_python_task":
            place = self._storage.readable(body["python_file"], run.owner)
            if place is None:
                words = f"Cannot read the python file {body['python_file']}. Please check driver logs for more details."
                raise _EndedError(State("INTERNAL_ERROR", "FAILED", words, ("RESOURCE_NOT_FOUND", "CLIENT_ERROR")))
            body["python_file"] = str(place)
        libraries = task.spec.get("libraries") or []
        environments = {
            environment["environment_key"]: environment.get("spec") or {}
            for environment in run.request.get("environments") or []
        }
        wanted = environments.get(task.spec.get("environment_key"), {}).get("dependencies") or []
        wheels = [library["whl"] for library in libraries if library.get("whl")] + [
            requirement for requirement in wanted if _is_wheel(requirement)
        ]
        packages = [library["pypi"]["package"] for library in libraries if library.get("pypi")]
        packages += [requirement for requirement in wanted if not _is_wheel(requirement)]
        parameters = [*(body.pop("parameters", None) or []), *named]
        return (
            {"kind": kind, "run_id": task.run_id, "wheels": wheels, "packages": packages}
            | body
            | {"parameters": parameters}
        )

    def _watched(self, run: Run, task: TaskRun, until: float) -> State:
        """Wait for the end of the process and say how it ended."""
        assert task.process is not None
        begun, dies = time.monotonic(), self._faults.driver_death()
        try:
            while task.process.popen.poll() is None:
                _stop_if_due(run, until)
                if dies is not None and time.monotonic() - begun > dies:
                    task.process.signal(signal.SIGKILL)
                time.sleep(POLL_S)
        except _EndedError:
            task.state = State("TERMINATING", message="Terminating the spark cluster")
            task.process.signal(signal.SIGTERM)
            task.process.wait(GRACE_S)
            raise
        finally:
            task.process.signal(signal.SIGKILL)
            task.process.popen.wait()
        return self._ending(task, task.process.popen.returncode)

    def _ending(self, task: TaskRun, code: int) -> State:
        assert task.process is not None
        said = task.process.folder / "failure.json"
        if said.exists():
            task.failure = json.loads(said.read_text())
        if code == 0:
            return State("TERMINATED", "SUCCESS")
        if said.exists():
            return State("TERMINATED", "FAILED", "Workload failed, see run output for details")
        task.failure = {"error": DRIVER_DIED}
        words = f"Run failed with error message\n {DRIVER_DIED}"
        return State("INTERNAL_ERROR", "FAILED", words, ("DRIVER_ERROR", "INTERNAL_ERROR"))


class _EndedError(Exception):
    """The run ends here, in this state."""

    def __init__(self, state: State) -> None:
        super().__init__(state.message)
        self.state = state


def _stop_if_due(run: Run, until: float) -> None:
    if run.cancelled.is_set():
        raise _EndedError(State("TERMINATED", "CANCELED", "Run cancelled."))
    if time.time() > until:
        raise _EndedError(State("TERMINATED", "TIMEDOUT", "Run timed out"))


def _is_wheel(dependency: str) -> bool:
    return dependency.endswith(".whl")


def _of_all(tasks: list[TaskRun]) -> State:
    """A run's end: its one task's, and where a task failed, the run says which."""
    failed = next((task for task in tasks if task.state.result != "SUCCESS"), None)
    if failed is None:
        return State("TERMINATED", "SUCCESS")
    state = failed.state
    if state.result != "FAILED":
        return State(state.life, state.result, state.message, state.ending)
    words = f"Task {failed.key} failed with message: {state.message}. This caused all downstream tasks to get skipped."
    return State(state.life, state.result, words, state.ending)
