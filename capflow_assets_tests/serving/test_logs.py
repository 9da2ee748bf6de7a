"""Lines of a log: one JSON object each, written together, warnings at once."""

from __future__ import annotations

import io
import json
import logging
import time

from capflow_assets.serving import logs
from capflow_assets.serving.logs import GatheredLines, JsonLines


class Buffered(io.StringIO):
    """A stream that shows what was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def record(level: int, message: object) -> logging.LogRecord:
    return logging.LogRecord("capflow.serving", level, "", 0, message, None, None)


def handler(stream: io.StringIO) -> GatheredLines:
    lines = GatheredLines(stream)
    lines.setFormatter(JsonLines())
    return lines


def test_lines_wait_for_each_other_and_a_warning_writes_them_all():
    stream = Buffered()
    lines = handler(stream)
    lines.handle(record(logging.INFO, {"route": "GET /x", "status": 200}))
    assert stream.flushed == ""
    lines.handle(record(logging.WARNING, {"what": "a table is damaged", "version": ("acme", "churn", 3)}))
    first, second = map(json.loads, stream.flushed.splitlines())
    assert (first["route"], first["level"]) == ("GET /x", "info")
    assert (second["version"], second["level"]) == (["acme", "churn", 3], "warning")


def test_a_line_that_nothing_follows_is_written_by_itself(monkeypatch):
    monkeypatch.setattr(logs, "WAIT_SECONDS", 0.01)
    stream = Buffered()
    lines = handler(stream)
    lines.handle(record(logging.INFO, "alone"))
    for _ in range(500):
        if stream.flushed:
            break
        time.sleep(0.01)
    assert json.loads(stream.flushed)["what"] == "alone"
