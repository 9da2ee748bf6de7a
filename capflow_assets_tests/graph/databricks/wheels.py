"""Small wheels and runs for the workspace's own tests."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import Environment, Library
from databricks.sdk.service.jobs import JobEnvironment, Run, RunOutput, SubmitTask

from capflow_assets_doubles.databricks.workspace import LocalWorkspace

FOLDER = "/Volumes/main/capflow/staging/own"


def wheel(package: str, files: Mapping[str, str], entry_points: Mapping[str, str]) -> bytes:
    """A pure-Python wheel of one package."""
    points = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
    content = {f"{package}/{name}": text for name, text in files.items()} | {
        f"{package}-0.1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n",
        f"{package}-0.1.dist-info/entry_points.txt": f"[console_scripts]\n{points}",
        f"{package}-0.1.dist-info/RECORD": "",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in content.items():
            # Always the same bytes: a cluster refuses a file of the same name that is not the one it has.
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


@dataclass(frozen=True)
class Ended:
    """A run that ended, and what its one task left."""

    run: Run
    output: RunOutput

    @property
    def result(self) -> str:
        return self.run.state.result_state.value if self.run.state.result_state else ""

    @property
    def said(self) -> Any:
        """What the script printed, as JSON."""
        assert self.result == "SUCCESS", self.output.error_trace or self.run.state.state_message
        return json.loads(self.output.logs or "null")


@dataclass(frozen=True)
class Caller:
    """Somebody who submits small tasks through the SDK."""

    workspace: LocalWorkspace
    client: WorkspaceClient

    def upload(self, name: str, content: bytes | str) -> str:
        data = content.encode() if isinstance(content, str) else content
        self.client.files.upload(f"{FOLDER}/{name}", io.BytesIO(data), overwrite=True)
        return f"{FOLDER}/{name}"

    def submit(
        self, task: Mapping[str, Any], mode: str = "dedicated", wheels: tuple[str, ...] = (), **more: Any
    ) -> int:
        """Submit one task in a mode; wheels go where that mode takes them from."""
        compute: dict[str, Any] = dict(self.workspace.mode(mode)) if "new_cluster" not in task else {}
        if mode == "serverless":
            spec = Environment(environment_version="4", dependencies=list(wheels))
            compute["environment_key"] = "only"
            more["environments"] = [JobEnvironment("only", spec)]
        elif wheels:
            compute["libraries"] = [Library(whl=file).as_dict() for file in wheels]
        whole = SubmitTask.from_dict({"task_key": "only", **compute, **task})
        return int(self.client.jobs.submit(tasks=[whole], **more).run_id)

    def script(self, code: str, *parameters: str, mode: str = "dedicated", **more: Any) -> int:
        """Submit a script."""
        file = self.upload("script.py", code)
        return self.submit({"spark_python_task": {"python_file": file, "parameters": parameters}}, mode, **more)

    def ended(self, run_id: int) -> Ended:
        """Wait for the end."""
        while True:
            run = self.client.jobs.get_run(run_id)
            if run.status.state.value == "TERMINATED":
                return Ended(run, self.client.jobs.get_run_output(run.tasks[0].run_id))

    def ran(self, code: str, *parameters: str, **more: Any) -> Ended:
        """Submit a script and wait for its end."""
        return self.ended(self.script(code, *parameters, **more))
