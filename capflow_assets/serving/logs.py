"""Log lines as JSON, one a line: what was done, never for whom."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

STANDARD_ERROR = 2
BUFFER_BYTES = 1 << 16
# So long a line on a request waits for others, to be written with them.
WAIT_SECONDS = 0.5


# All of a record of the log but what is said and when: to look for its place and thread takes as long as to write it.
RECORD = vars(logging.LogRecord("capflow.serving", logging.INFO, "", 0, None, None, None))


def request_record(line: Mapping[str, Any]) -> logging.LogRecord:
    """The record of one request, which each answer writes."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = {**RECORD, "msg": line, "created": time.time()}
    return record


class JsonLines(logging.Formatter):
    """One record as one line of JSON; a message that is a mapping has its own members."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        import orjson

        content = dict(record.msg) if isinstance(record.msg, dict) else {"what": record.getMessage()}
        line = {"at": datetime.fromtimestamp(record.created, UTC).isoformat(), "level": record.levelname.lower()}
        if record.exc_info:
            # The kind and the place: messages of exceptions may quote what a client sent.
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            content |= {"where": place}
        return orjson.dumps(line | content, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class GatheredLines(logging.StreamHandler[TextIO]):
    """Lines that are written together twice a second, warnings and worse at once: a write costs as much as an answer.

    Of a process that is killed the last half second of requests is in no log.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._is_waiting = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or let it wait."""
        try:
            self.stream.write(f"{self.format(record)}\n")
        except Exception:  # as logging has it: what cannot be logged ends nothing
            self.handleError(record)
            return
        if record.levelno > logging.INFO:
            self.flush()
        elif not self._is_waiting:
            self._is_waiting = True
            timer = threading.Timer(WAIT_SECONDS, self._write)
            timer.daemon = True
            timer.start()

    def _write(self) -> None:
        self._is_waiting = False
        self.flush()


def configure() -> None:
    """Let the serving rooms and uvicorn log to standard error, as JSON."""
    handler = GatheredLines(open(STANDARD_ERROR, "w", BUFFER_BYTES, encoding="utf-8", closefd=False))  # noqa: SIM115
    handler.setFormatter(JsonLines())
    for name, level in (("capflow.serving", logging.INFO), ("uvicorn.error", logging.INFO)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
