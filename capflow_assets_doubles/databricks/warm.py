"""A warm Python of the compute as the workspace sees it: it starts tasks, and says when and how they end."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KILLED = -9


class Forked:
    """A task's process that the warm Python forked; to be asked as ``subprocess.Popen`` is."""

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.started, self.ended = threading.Event(), threading.Event()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code at the end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode


class WarmPython:
    """The Python of an image, started with those variables, that forks for each task; see ``dbruntime.warm``."""

    def __init__(self, python: Path, variables: Mapping[str, str], log: Path) -> None:
        self._numbers = itertools.count()
        self._tasks: dict[int, Forked] = {}
        self._lock = threading.Lock()
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [str(python), "-P", "-m", "dbruntime.warm"],
                env=dict(variables) | {"PYTHONPATH": ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._listen, daemon=True, name=f"warm-python-{self._process.pid}")
        self._reader.start()

    def start(
        self, description: Path, variables: Mapping[str, str], folder: Path, outputs: tuple[Path, Path]
    ) -> Forked:
        """A process that does the described task in a folder, with these variables alone."""
        assert self._process.stdin is not None
        task = Forked()
        with self._lock:
            number = next(self._numbers)
            self._tasks[number] = task
            command: dict[str, Any] = {
                "number": number,
                "description": str(description),
                "variables": dict(variables),
                "folder": str(folder),
                "stdout": str(outputs[0]),
                "stderr": str(outputs[1]),
            }
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        task.started.wait()
        if not task.pid:
            raise RuntimeError("the warm Python has ended: see its log beside the images")
        return task

    def close(self) -> None:
        """End it; the tasks that run are not its matter."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                answer = json.loads(line)
                task = self._tasks[answer["number"]]
                if "process" in answer:
                    task.pid = answer["process"]
                    task.started.set()
                else:
                    task.returncode = answer["code"]
                    task.ended.set()
        for task in self._tasks.values():  # whom nobody watches any more
            if task.returncode is None:
                task.returncode = KILLED
            task.started.set()
            task.ended.set()
