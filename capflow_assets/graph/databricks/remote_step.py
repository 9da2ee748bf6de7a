"""The main program of a step on Databricks: read what is to be done, do it, and write down what happened.

Entry point ``capflow-remote-step PLACE SHA256``. ``PLACE`` is what the step's staged files begin with, as a file path.
Works on dedicated, standard and serverless compute alike: it asks for no ``sc``, no DBFS and no Spark configuration.

What is read is JSON that only Dagster's own named types come out of, never a pickle, and only if it has the SHA-256
that the run was submitted with; then it is removed. What happened goes to ``PLACE.events-1.jsonl`` and on: one line per
event, as soon as it happens; files only grow, each is written anew as a whole, since a volume knows no appending.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

# As in ``customer_lock``, which this first file of a step does not import before its home is there.
HELD_ELSEWHERE = "CAPFLOW_HELD_BY_LAUNCHER"
STEP_FILE = "{}.step.json"
EVENTS_FILE = "{}.events-{}.jsonl"
# A file of events that is larger than this is followed by the next.
SEGMENT_BYTES = 1 << 20
WRITE_SECONDS = 0.3
# The longer a step has run, the less it matters when exactly an event arrives.
WRITE_SHARE = 0.02
KEPT_OUTPUT = 200_000


def main() -> None:
    """Do the step that the arguments name; the process fails where the step does."""
    place, expected = sys.argv[1], sys.argv[2]
    step = read_step(Path(STEP_FILE.format(place)), expected)
    prepare(step)
    with capturing() as output:
        events = EventFile(place, step["token"])
        try:
            succeeded = run(step, events)
            error = ""
        except BaseException:  # the orchestrator must learn of it, whatever it is
            succeeded, error = False, traceback.format_exc()
        events.close({"error": error, **{name: kept() for name, kept in output.items()}})
    if not succeeded:
        sys.exit(error or "The step failed; the run's page in Dagster says why.")


def read_step(file: Path, expected: str) -> dict[str, Any]:
    """What is to be done, if it is what was submitted.

    Raises:
        SystemExit: the file has another content than the run was submitted with.
    """
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        sys.exit(f"{file} is not what was submitted. Expected: SHA-256 {expected}. Came: {digest}. Nothing was done.")
    step: dict[str, Any] = json.loads(content)
    with suppress(OSError):  # the orchestrator removes what is left
        file.unlink()
    return step


def prepare(step: Mapping[str, Any]) -> None:
    """Variables, secrets and the customers of this step, in a home that lives as long as the process."""
    os.environ.update(step["environment"])
    for name, secret in step["secrets"].items():
        os.environ[name] = _secret(secret["scope"], secret["key"])
    home = Path(tempfile.mkdtemp(prefix="capflow-"))
    customers = home / "customers"
    customers.mkdir()
    for name, text in step["customers"].items():
        (customers / f"{name}.toml").write_text(text, encoding="utf-8")
    if settings := step.get("settings"):
        (home / "capflow.toml").write_text(settings, encoding="utf-8")
    os.environ["CAPFLOW_HOME"] = str(home)
    os.environ.pop("CAPFLOW_SETTINGS", None)
    os.environ.pop("CAPFLOW_DATABRICKS", None)
    os.environ.pop("DAGSTER_HOME", None)
    os.environ[HELD_ELSEWHERE] = "1"


def _secret(scope: str, key: str) -> str:
    from databricks.sdk.runtime import dbutils

    return str(dbutils.secrets.get(scope=scope, key=key))


def run(step: Mapping[str, Any], events: EventFile) -> bool:
    """Execute the step on an instance of its own that tells every event; False where the step failed."""
    from dagster import DagsterEventType
    from dagster._core.definitions.step_launcher import StepRunRef
    from dagster._core.execution.plan.external_step import external_instance_from_step_run_ref, run_step_from_ref
    from dagster._serdes import deserialize_value, serialize_value

    parts = cast("dict[str, Any]", deserialize_value(step["step"]))
    reference = StepRunRef(run_id=parts["dagster_run"].run_id, **parts)
    instance = external_instance_from_step_run_ref(reference, lambda entry: events.add(serialize_value(entry)))
    for partitions, keys in step["partitions"].items():
        instance.add_dynamic_partitions(partitions, keys)
    bad = (DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY)
    return not [event for event in run_step_from_ref(reference, instance) if event.event_type in bad]


class EventFile:
    """Lines for the orchestrator, written by a thread so that no work waits for storage."""

    def __init__(self, place: str, token: str) -> None:
        self._place, self._token = place, token
        self._lines: list[str] = []
        self._segment, self._content = 1, b""
        self._lock, self._over = threading.Lock(), threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def add(self, event: str) -> None:
        """Tell an event."""
        with self._lock:
            self._lines.append(json.dumps({"token": self._token, "event": event}))

    def close(self, last: Mapping[str, str]) -> None:
        """Tell that there is nothing more to come, after everything else."""
        self._over.set()
        self._thread.join()
        with self._lock:
            self._lines.append(json.dumps({"token": self._token, "closed": dict(last)}))
        self._flush()

    def _loop(self) -> None:
        while not self._over.wait(max(WRITE_SECONDS, WRITE_SHARE * (time.monotonic() - self._began))):
            try:
                self._flush()
            except OSError:  # storage out of reach for a moment: the lines are still there for the next time
                continue

    def _flush(self) -> None:
        with self._lock:
            lines = list(self._lines)
        if not lines:
            return
        content = self._content + "".join(line + "\n" for line in lines).encode()
        full = len(content) > SEGMENT_BYTES
        if full:
            content += (json.dumps({"token": self._token, "next": self._segment + 1}) + "\n").encode()
        Path(EVENTS_FILE.format(self._place, self._segment)).write_bytes(content)
        self._content = content
        if full:
            self._segment, self._content = self._segment + 1, b""
        with self._lock:
            del self._lines[: len(lines)]


class _Tee:
    """A stream that also keeps the end of what was written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._kept = stream, ""

    def write(self, text: str) -> int:
        self._kept = (self._kept + text)[-KEPT_OUTPUT:]
        return self._stream.write(text)

    def kept(self) -> str:
        return self._kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def capturing() -> Iterator[dict[str, Any]]:
    """Standard output and error still go where they went, and their ends are kept for the orchestrator."""
    before = sys.stdout, sys.stderr
    tees = _Tee(sys.stdout), _Tee(sys.stderr)
    sys.stdout, sys.stderr = cast("tuple[TextIO, TextIO]", tees)
    try:
        yield {"stdout": tees[0].kept, "stderr": tees[1].kept}
    finally:
        sys.stdout, sys.stderr = before


if __name__ == "__main__":
    main()
