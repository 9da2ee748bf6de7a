"""Native libraries wait without spinning in every process of a deployment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from capflow_assets.home import native_libraries

OPEN = "from pathlib import Path; from capflow_assets.home.places import Home; Home.of(Path({root!r}), {{}}).prepare()"
PRINT = "import os; print(os.environ.get({name!r}))"


def seen_after(root: Path, name: str, environment: dict[str, str]) -> str:
    code = f"{OPEN.format(root=str(root))}; {PRINT.format(name=name)}"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("name", "set_before", "seen"),
    [
        ("OMP_WAIT_POLICY", None, "PASSIVE"),
        ("OMP_WAIT_POLICY", "ACTIVE", "ACTIVE"),
        ("OPENBLAS_THREAD_TIMEOUT", None, "4"),
        ("OPENBLAS_THREAD_TIMEOUT", "26", "26"),
    ],
)
def test_threads_sleep_while_they_wait_unless_someone_says_otherwise(
    tmp_path: Path, name: str, set_before: str | None, seen: str
) -> None:
    environment = {} if set_before is None else {name: set_before}
    assert seen_after(tmp_path / "home", name, environment).strip() == seen


IDLE = """
import sys, time
from capflow_assets.home import native_libraries
native_libraries.settle()
from capflow_assets_doubles.engines import sail_session
with sail_session() as session:
    session.range(3).count()
    time.sleep(5)
    print(session.range(4).count())
"""


@pytest.mark.parametrize(("set_before", "code"), [({}, 0), ({"SAIL_SPARK__SESSION_TIMEOUT_SECS": "1"}, 1)])
def test_a_session_that_is_asked_nothing_for_long_stays_open(set_before: dict[str, str], code: int) -> None:
    """The engine's own quarter of an hour is too long for a test; that a second closes it shows which setting it is."""
    assert int(native_libraries.SETTINGS["SAIL_SPARK__SESSION_TIMEOUT_SECS"]) > 7 * 24 * 3600
    done = subprocess.run(
        [sys.executable, "-c", IDLE], env=os.environ | set_before, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is not running" in done.stderr) == (code, bool(code)), done.stderr
