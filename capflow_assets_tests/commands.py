"""Real `capflow` processes, and places that real systems have: full disks, and disks that cannot be written."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from capflow_assets_doubles.homes import STATE, Said

ROOT = Path(__file__).parents[1]
CAPFLOW = (sys.executable, "-m", "capflow_assets")
IN_TURN = """
import dataclasses, json, pathlib, sys
from capflow_assets_doubles.homes import TestHome

root, commands = json.loads(sys.argv[1])
said = [dataclasses.asdict(TestHome(pathlib.Path(root)).capflow(*command)) for command in commands]
print(json.dumps(said))
"""


def capflow(*arguments: str, environment: Mapping[str, str | None] | None = None, before: str = "") -> Said:
    """A command in a process of its own; with ``before``, in mounts of its own, after that shell script.

    A variable that is None is unset.
    """
    given = {name: value for name, value in os.environ.items() if name not in STATE} | dict(environment or {})
    command = _mounted([*CAPFLOW, *arguments], before)
    variables = {name: value for name, value in given.items() if value is not None}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    return Said(result.returncode, result.stdout, result.stderr)


def capflow_in_turn(root: Path, *commands: Sequence[str], before: str) -> list[Said]:
    """Commands on a home, one after another in one other process, which imports once; ``before`` as of ``capflow``."""
    command = _mounted([sys.executable, "-c", IN_TURN, json.dumps([str(root), commands])], before)
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [Said(**said) for said in json.loads(result.stdout.splitlines()[-1])]


def _mounted(command: list[str], before: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-ec", f'{before}\nexec "$@"', "sh", *command] if before else command


@functools.cache
def _may_mount() -> bool:
    try:
        completed = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    except FileNotFoundError:
        return False
    return completed.returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="mounts of one's own need root and Linux")


def fenced(file: Path, name: str) -> str:
    """The commands of a document's fenced block ``bash NAME``."""
    block = re.search(rf"^```bash {name}\n(.*?)^```$", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block, f"{file} has no block {name}"
    return block[1]
