"""What processes of tests do in the place of runs; imported by them alone, so it imports little."""

from __future__ import annotations

import atexit
import os
import time
from pathlib import Path
from typing import Any


def report(answers: Any, farewell: str) -> None:
    """Say what is seen from within: parent, folder, two variables. At the process's end a file is written."""
    atexit.register(Path(farewell).touch)
    answers.put((os.getppid(), str(Path.cwd()), {name: os.environ.get(name) for name in ("GREETING", "HOME")}))


def sleep(answers: Any) -> None:
    """Say whose child this is, and stay."""
    answers.put(os.getppid())
    time.sleep(600)
