"""Native libraries wait without spinning in every process of a deployment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OPEN = "from pathlib import Path; from capflow_assets.home.places import Home; Home.of(Path({root!r}), {{}}).prepare()"
PRINT = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"


def wait_policy(root: Path, **environment: str) -> str:
    code = f"{OPEN.format(root=str(root))}; {PRINT}"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(("set_before", "seen"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_someone_says_otherwise(
    tmp_path: Path, set_before: dict[str, str], seen: str
) -> None:
    assert wait_policy(tmp_path / "home", **set_before).strip() == seen
