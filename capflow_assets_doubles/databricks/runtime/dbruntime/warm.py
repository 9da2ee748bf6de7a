"""A Python that has its libraries loaded and forks for each task, as a cluster's does: ``python -m dbruntime.warm``.

Each line of the input is a task; each line of the output says its process, and at its end its exit code. The end of
the input ends it. Only what the runtime itself brings is loaded here: a task's own libraries, with the code that is
under test, are loaded in the task's process alone.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from dbruntime import driver

# What steps load of the runtime's own packages; two thirds of what a short step took.
LIBRARIES = (
    "dagster",
    "databricks.sdk",
    "deltalake",
    "pandas",
    "pandera.pandas",
    "pyarrow.dataset",
    "pyspark.sql.connect.session",
    "pyspark.sql.functions",
)


def serve(commands: int, answers: int) -> None:
    """Fork for each task until there are no more; in the fork, do the task and end as it ends."""
    ended, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tasks: dict[int, int] = {}
    text = b""
    started = 0
    while True:
        ready, _, _ = select.select([commands, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _tell_ended(tasks, answers)
        if commands not in ready:
            continue
        read = os.read(commands, 1 << 20)
        if not read:
            return
        *lines, text = (text + read).split(b"\n")
        for line in lines:
            task = json.loads(line)
            started += 1
            if started == 2:  # the first task finds the libraries as a cluster that has just started has them
                _load()
            process = os.fork()
            if not process:
                for end in (ended, wakes, answers):
                    os.close(end)
                _become(task)
                sys.exit(driver.main(Path(task["description"])))
            tasks[process] = task["number"]
            _say(answers, number=task["number"], process=process)


def _load() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()


def _tell_ended(tasks: dict[int, int], answers: int) -> None:
    while tasks:
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            return
        _say(answers, number=tasks.pop(process), code=os.waitstatus_to_exitcode(status))


def _say(answers: int, **words: int) -> None:
    os.write(answers, json.dumps(words).encode() + b"\n")


def _become(task: dict[str, Any]) -> None:
    """Be a process of the task's own: its group, its folder, its variables and its libraries; nothing to read."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for standard, place in enumerate((os.devnull, task["stdout"], task["stderr"])):
        opened = os.open(place, os.O_WRONLY if standard else os.O_RDONLY)
        os.dup2(opened, standard)
        os.close(opened)
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["variables"])
    sys.path[:0] = [entry for entry in task["variables"]["PYTHONPATH"].split(os.pathsep) if entry]
    importlib.invalidate_caches()


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    serve(0, out)
