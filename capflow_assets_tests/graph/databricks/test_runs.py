"""Runs through the real SDK, without Spark: their states, what a step finds around it, and how a run can end badly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, InvalidParameterValue, PermissionDenied
from databricks.sdk.service.jobs import SubmitTask

from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_tests.graph.databricks.wheels import FOLDER, Caller, wheel

MODES = ("dedicated", "standard", "serverless")
VARIABLES = {"PATH", "HOME", "LANG", "DATABRICKS_RUNTIME_VERSION", "PYSPARK_PYTHON", "PYTHONPATH"}
WAIT = "import time; time.sleep(60)"
NEW = {"new_cluster": {"spark_version": "18.0.x-scala2.13", "num_workers": 1, "data_security_mode": "USER_ISOLATION"}}


@pytest.fixture
def caller(workspace: LocalWorkspace) -> Caller:
    return Caller(workspace, WorkspaceClient(host=workspace.url, token=workspace.token))


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait for what has to come."""
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def test_a_run_that_succeeds(caller: Caller):
    ended = caller.ran("import sys, json; print(json.dumps(sys.argv[1:]))", "a", "b c", run_name="two words")
    run, task = ended.run, ended.run.tasks[0]
    assert ended.said == ["a", "b c"]
    assert (run.run_name, run.creator_user_name) == ("two words", "admin@example.com")
    assert run.state.life_cycle_state.value == "TERMINATED"
    assert run.status.termination_details.code.value == "SUCCESS"
    assert run.run_id != task.run_id
    assert run.start_time <= run.end_time
    assert task.cluster_instance.cluster_id == "dedicated-1"
    assert str(run.run_id) in run.run_page_url
    with pytest.raises(BadRequest, match="each individual task"):
        caller.client.jobs.get_run_output(run.run_id)
    assert run.run_id in {completed.run_id for completed in caller.client.jobs.list_runs(completed_only=True)}


def test_a_run_that_fails_says_why_in_its_output(caller: Caller):
    ended = caller.ran("def f():\n    raise ValueError('no such column: pirce')\nf()")
    words = "Task only failed with message: Workload failed, see run output for details. "
    assert ended.result == "FAILED"
    assert ended.run.state.state_message.startswith(words)
    assert ended.run.status.termination_details.code.value == "RUN_EXECUTION_ERROR"
    assert ended.output.error == "ValueError: no such column: pirce"
    assert "in f" in ended.output.error_trace


@pytest.mark.parametrize(("code", "result"), [("0", "SUCCESS"), ("3", "FAILED"), ("'words'", "FAILED")])
def test_a_script_that_exits(caller: Caller, code: str, result: str):
    assert caller.ran(f"import sys; sys.exit({code})").result == result


@pytest.mark.parametrize("mode", MODES)
def test_a_step_sees_nothing_of_the_process_that_submits_it(mode: str, caller: Caller, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAPFLOW_SECRET_HERE", "not for others")
    monkeypatch.setitem(caller.workspace.clusters["standard-1"].spec, "spark_env_vars", {"SET_ON": "the cluster"})
    answer = caller.ran(
        "import os, json, sys; print(json.dumps([dict(os.environ), os.listdir(), os.getcwd(), sys.path]))", mode=mode
    ).said
    variables, here, folder, path = answer
    assert set(variables) == VARIABLES | ({"SET_ON"} if mode == "standard" else set())
    assert here == []
    assert folder != str(Path.cwd())
    assert not any(Path(entry).resolve() == Path.cwd() for entry in path)


def test_the_project_is_there_from_its_wheel_alone(caller: Caller):
    script = (
        "import importlib.metadata as m, json\ntry:\n    import capflow_assets\nexcept ImportError:\n    pass\nelse:\n"
    )
    script += "    raise SystemExit('it is there')\nprint(json.dumps([d.name for d in m.distributions()]))"
    names = caller.ran(script).said
    assert "dagster" in names
    assert "capflow-assets" not in names
    built = wheel(
        "capflow_assets", {"__init__.py": "def main():\n    print('\"of the wheel\"')"}, {"go": "capflow_assets:main"}
    )
    place = caller.upload("capflow_assets-0.1-py3-none-any.whl", built)
    for mode in MODES:
        task = {"python_wheel_task": {"package_name": "capflow_assets", "entry_point": "go"}}
        assert caller.ended(caller.submit(task, mode, (place,))).said == "of the wheel"


def test_libraries_stay_loaded_from_task_to_task_and_nothing_else(caller: Caller):
    code = (
        "import json, os, sys\ndef main():\n    print(json.dumps([NUMBER, 'pandas' in sys.modules, dict(os.environ)]))"
    )
    said = []
    for number in range(2):
        content = f"NUMBER = {number}\n{code}\n    os.environ['LEFT'] = 'by the first'"
        place = caller.upload(f"left{number}-0.1-py3-none-any.whl", wheel("left", {"__init__.py": content}, {}))
        task = {"python_wheel_task": {"package_name": "left", "entry_point": "main"}}
        said.append(caller.ended(caller.submit(task, wheels=(place,))).said)
    (first, _, before), (second, is_loaded, variables) = said
    assert (first, second, is_loaded) == (0, 1, True)
    assert set(variables) == set(before) == VARIABLES
    assert variables["HOME"] != before["HOME"]


def test_parameters_of_a_wheel_task(caller: Caller):
    code = "import sys, json\ndef main():\n    print(json.dumps(sys.argv[1:]))"
    place = caller.upload("tiny-0.1-py3-none-any.whl", wheel("tiny", {"__init__.py": code}, {}))
    task = {"package_name": "tiny", "entry_point": "main", "named_parameters": {"customer": "acme"}}
    assert caller.ended(caller.submit({"python_wheel_task": task}, wheels=(place,))).said == ["--customer=acme"]
    unknown = caller.ended(caller.submit({"python_wheel_task": task | {"package_name": "tinny"}}, wheels=(place,)))
    assert "Python wheel with name tinny could not be found" in unknown.output.error


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ({"whl": f"{FOLDER}/none.whl"}, "File not found"),
        ({"whl": "dbfs:/wheels/x.whl"}, "stored on DBFS"),
        ({"pypi": {"package": "dagster==0.1"}}, "Could not find a version"),
        ({"pypi": {"package": "no-such-package"}}, "Could not find a version"),
    ],
)
def test_a_library_that_cannot_be_installed(caller: Caller, library: dict, words: str):
    task = {"libraries": [library], "spark_python_task": {"python_file": caller.upload("s.py", "")}}
    ended = caller.ended(caller.submit(task))
    assert ended.run.state.life_cycle_state.value == "INTERNAL_ERROR"
    assert words in ended.run.state.state_message
    assert ended.run.status.termination_details.code.value == "LIBRARY_INSTALLATION_ERROR"


def test_a_step_calls_the_workspace_as_its_owner_without_any_variable(caller: Caller, workspace: LocalWorkspace):
    code = """
import json
from databricks.sdk import WorkspaceClient
from databricks.sdk.runtime import dbutils as imported
client = WorkspaceClient()
words = [client.current_user.me().user_name, dbutils.secrets.get("step", "k"), imported.secrets.get("step", "k")]
print(json.dumps([*words, client.config.authenticate()["Authorization"].removeprefix("Bearer ")]))
"""
    caller.client.secrets.create_scope("step")
    caller.client.secrets.put_secret("step", "k", string_value="of the scope")
    narrow = Caller(workspace, WorkspaceClient(host=workspace.url, token=workspace.add_principal("ana")))
    before = len(workspace.calls)
    *answers, token = narrow.ran(code).said
    assert answers == ["ana", "of the scope", "of the scope"]
    assert ("GET", "/api/2.0/secrets/get") not in workspace.calls[before:], "a step's calls are counted apart"
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        WorkspaceClient(host=workspace.url, token=token).current_user.me()


def test_others_may_not_look_at_a_run(caller: Caller, workspace: LocalWorkspace):
    run_id = caller.script("")
    other = WorkspaceClient(host=workspace.url, token=workspace.add_principal("other"))
    for call in (other.jobs.get_run, other.jobs.cancel_run):
        with pytest.raises(PermissionDenied):
            call(run_id)
    caller.ended(run_id)


def test_cancelling_ends_the_step_and_all_its_processes(caller: Caller, workspace: LocalWorkspace):
    code = "import os, subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
    code += f"open('{FOLDER}/pids', 'w').write(f'{{os.getpid()}} {{child.pid}}')\nimport signal\n"
    code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT
    caller.upload("pids", "")
    run_id, place = caller.script(code), workspace.storage.place(f"{FOLDER}/pids")
    wait_until(place.read_text)
    assert caller.client.jobs.get_run(run_id).state.life_cycle_state.value == "RUNNING"
    caller.client.jobs.cancel_run(run_id)
    ended = caller.ended(run_id)
    assert ended.result == "CANCELED"
    assert ended.run.status.termination_details.code.value == "USER_CANCELED"
    pids = [int(pid) for pid in place.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("on", ["run", "task"])
def test_a_run_that_takes_too_long(caller: Caller, on: str):
    if on == "run":
        run_id = caller.script(WAIT, timeout_seconds=1)
    else:
        file = caller.upload("wait.py", WAIT)
        run_id = caller.submit({"spark_python_task": {"python_file": file}, "timeout_seconds": 1})
    assert caller.ended(run_id).result == "TIMEDOUT"


def test_a_driver_that_dies(caller: Caller, workspace: LocalWorkspace):
    run_id = caller.script("print('begun', flush=True)\n" + WAIT)
    wait_until(lambda: caller.client.jobs.get_run(run_id).state.life_cycle_state.value == "RUNNING")
    workspace.jobs.kill_driver(run_id)
    ended = caller.ended(run_id)
    assert ended.run.state.life_cycle_state.value == "INTERNAL_ERROR"
    assert "The spark driver has stopped unexpectedly" in ended.run.state.state_message
    assert ended.run.status.termination_details.code.value == "DRIVER_ERROR"


def test_compute_that_does_not_come(caller: Caller, workspace: LocalWorkspace):
    file = caller.upload("s.py", "")
    task = {"spark_python_task": {"python_file": file}, **NEW}
    workspace.faults.never_starts = True
    waiting, late = caller.submit(task), caller.submit(task, timeout_seconds=1)
    assert caller.ended(late).result == "TIMEDOUT"
    run = caller.client.jobs.get_run(waiting)
    assert run.state.life_cycle_state.value == "PENDING"
    assert caller.client.clusters.get(run.tasks[0].cluster_instance.cluster_id).state.value == "PENDING"
    caller.client.jobs.cancel_run(waiting)
    assert caller.ended(waiting).result == "CANCELED"


def test_compute_that_fails_to_start(caller: Caller, workspace: LocalWorkspace):
    code = "AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE"
    workspace.faults.start_failure = code
    ended = caller.ended(caller.submit({"spark_python_task": {"python_file": caller.upload("s.py", "")}, **NEW}))
    cluster_id = ended.run.tasks[0].cluster_instance.cluster_id
    assert ended.run.state.life_cycle_state.value == "INTERNAL_ERROR"
    assert f"Cluster {cluster_id} is in unexpected state Terminated: {code}" in ended.run.state.state_message
    assert caller.client.clusters.get(cluster_id).termination_reason.code.value == code
    assert [event.type.value for event in caller.client.clusters.events(cluster_id)] == ["TERMINATING", "CREATING"]


def test_one_token_is_one_run(caller: Caller, workspace: LocalWorkspace):
    before = len(workspace.jobs.runs)
    workspace.faults.lose_answers(calls=1, on="runs/submit")
    first = caller.script("", idempotency_token="night-1")
    assert caller.script("", idempotency_token="night-1") == first
    assert caller.script("", idempotency_token="night-2") != first
    assert len(workspace.jobs.runs) == before + 2
    with pytest.raises(InvalidParameterValue, match="64"):
        caller.script("", idempotency_token="x" * 65)


def test_what_cannot_be_submitted(caller: Caller):
    script = {"spark_python_task": {"python_file": f"{FOLDER}/s.py"}}
    wrong = {
        "exactly one": {"existing_cluster_id": "dedicated-1"},
        "not both": {**script, **NEW, "existing_cluster_id": "dedicated-1"},
        "An environment is required": script,
        "not supported for serverless": {**script, "libraries": [{"whl": "x.whl"}]},
    }
    for words, task in wrong.items():
        with pytest.raises(InvalidParameterValue, match=words):
            caller.client.jobs.submit(tasks=[SubmitTask.from_dict({"task_key": "t", **task})])


def test_a_task_whose_upstream_failed_is_skipped(caller: Caller):
    bad, good = caller.upload("bad.py", "1 / 0"), caller.upload("good.py", "")
    tasks = [
        {"task_key": "first", "existing_cluster_id": "dedicated-1", "spark_python_task": {"python_file": bad}},
        {"task_key": "second", "existing_cluster_id": "dedicated-1", "spark_python_task": {"python_file": good}},
        {"task_key": "third", "existing_cluster_id": "dedicated-1", "spark_python_task": {"python_file": good}},
    ]
    tasks[1]["depends_on"] = [{"task_key": "first"}]
    run_id = caller.client.jobs.submit(tasks=[SubmitTask.from_dict(task) for task in tasks]).run_id
    run = caller.ended(run_id).run
    assert [task.state.result_state.value for task in run.tasks] == ["FAILED", "UPSTREAM_FAILED", "SUCCESS"]
    assert json.dumps(run.as_dict())
