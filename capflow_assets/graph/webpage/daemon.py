"""Dagster's daemon, one a home: a second one waits until the first has ended, and takes over then.

Two daemons on one home would start every backfill and queued run twice. On one machine a lock tells, which the system
takes back from whoever dies. Of a daemon elsewhere (another host on the same PostgreSQL, `dagster-daemon run` by hand)
only the heartbeat tells; those of our own that died are told from it by the time at which the lock was last held.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from capflow_assets.errors import CapflowError

if TYPE_CHECKING:
    import dagster as dg

LOGGER = logging.getLogger("dagster.daemon")
BACKFILL_SECONDS = "CAPFLOW_BACKFILL_SECONDS"
TOUCH_SECONDS = 5
# Dagster's daemon beats every 30 s.
SILENCE_SECONDS = 90
LOOK_SECONDS = 5


def run(workspace: Path) -> None:
    """Dagster's daemon on the home that DAGSTER_HOME names, as soon as no other one works there."""
    lock = Path(os.environ["DAGSTER_HOME"]) / "daemon.lock"
    with lock.open("a+", encoding="utf-8") as held:
        take(held)
        last_held = held_until(held)
        import dagster as dg
        from dagster._daemon.cli import cli

        from capflow_assets.graph.webpage.webserver import await_code

        threading.Thread(target=touch, args=(held,), daemon=True).start()
        with dg.DagsterInstance.get() as instance:
            await_silence(lambda: last_beat(instance), last_held)
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        await_code(workspace)
        look_often(os.environ.get(BACKFILL_SECONDS, ""))
        cli.main(["run", "--workspace", str(workspace)], prog_name="dagster-daemon")


def look_often(seconds: str) -> None:
    """Have backfills looked at every so many seconds; where nothing is said, as often as Dagster does.

    A backfill of everything goes on at a look of the daemon, in as many steps as there are kinds of runs in it. Dagster
    has no setting for it.

    Raises:
        CapflowError: it is no number of seconds, 1 or more.
    """
    if not seconds:
        return
    try:
        pause = float(seconds)
    except ValueError:
        pause = 0.0
    if not 1 <= pause < float("inf"):
        raise CapflowError(f"{BACKFILL_SECONDS} cannot be used", expected="seconds, 1 or more", came=repr(seconds))
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = pause  # type: ignore[assignment]


def take(held: IO[str]) -> None:
    """Wait for the lock."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        say(
            f"Process {held.read() or 'of another page'} is this home's daemon already. "
            "This page uses it, and starts its own when that one has ended."
        )
        fcntl.flock(held, fcntl.LOCK_EX)
        say("The other daemon has ended; this page starts its own.")


def held_until(held: IO[str]) -> float:
    """When a daemon last held the lock; 0 if none ever did."""
    held.seek(0)
    return os.fstat(held.fileno()).st_mtime if held.read() else 0.0


def touch(held: IO[str]) -> None:
    """Keep the time of the lock's file: that of the holder's last sign of life."""
    while True:
        os.utime(held.fileno())
        time.sleep(TOUCH_SECONDS)


def last_beat(instance: dg.DagsterInstance) -> float:
    """When a daemon last gave a sign of life; 0 if none ever did."""
    return max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=0.0)


def await_silence(beat: Callable[[], float], last_held: float, clock: Callable[[], float] = time.time) -> None:
    """Wait until the last heartbeat is old, or is from a time at which this machine's own daemon may have given it."""
    said = False
    while last_held + 2 * TOUCH_SECONDS < (newest := beat()) and clock() - newest < SILENCE_SECONDS:
        if not said:
            say(
                f"A daemon gave a sign of life {clock() - newest:,.0f} s ago, and belongs to no page of this machine. "
                f"This page uses it, and starts its own once that one has been silent for {SILENCE_SECONDS} s."
            )
            said = True
        time.sleep(LOOK_SECONDS)


def say(words: str) -> None:
    """Tell whoever looks at the terminal, before Dagster has set its log up."""
    sys.stderr.write(f"capflow ui: {words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(Path(sys.argv[1]))
