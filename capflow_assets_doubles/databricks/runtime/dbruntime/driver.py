"""Runs one task in this process, as the driver of a cluster does: ``python -m dbruntime.driver TASK.json``.

What went wrong is left beside the task's description for the workspace to report.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

from dbruntime import Credentials, UserNamespaceInitializer, sessions


def main(description: Path) -> int:
    """The exit code. The description holds a token, so it is gone before the task's own code runs."""
    task = json.loads(description.read_text())
    description.unlink()
    Credentials.host, Credentials.token = task["host"], task["token"]
    try:
        names = UserNamespaceInitializer.getOrCreate().names
        names.update(_sessions(task))
        sys.argv = [task.get("python_file") or "python", *task["parameters"]]
        if task["kind"] == "spark_python_task":
            runpy.run_path(task["python_file"], init_globals=names, run_name="__main__")
        else:
            _entry_point(task["package_name"], task["entry_point"])()
    except SystemExit as done:
        if done.code in (None, 0):
            return 0
        _report(description, done)
        return 1
    except BaseException as error:  # whatever it is, the run has failed by it
        traceback.print_exc()
        _report(description, error)
        return 1
    return 0


def _sessions(task: dict[str, Any]) -> dict[str, Any]:
    if not task["spark"]:
        return {}
    if task["mode"] == "dedicated":
        return sessions.classic()
    return sessions.connect(task["libraries"], serverless=task["mode"] == "serverless")


def _entry_point(package: str, name: str) -> Any:
    """The function behind an entry point of the wheel, or the package's attribute of that name."""
    try:
        declared = metadata.distribution(package).entry_points
    except metadata.PackageNotFoundError:
        words = f"Python wheel with name {package} could not be found. Please check the driver logs for more details"
        raise RuntimeError(words) from None
    matching = [point for point in declared if point.name == name]
    if matching:
        return matching[0].load()
    return getattr(importlib.import_module(package.replace("-", "_")), name)


def _report(description: Path, error: BaseException) -> None:
    report = {
        "error": f"{type(error).__name__}: {error}",
        "error_trace": "".join(traceback.format_exception(error)),
    }
    description.with_name("failure.json").write_text(json.dumps(report))


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
