"""Log lines as JSON, one a line: what was done, never for whom."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """One record as one line of JSON; a message that is a mapping has its own members."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        content = dict(record.msg) if isinstance(record.msg, dict) else {"what": record.getMessage()}
        line = {"at": datetime.fromtimestamp(record.created, UTC).isoformat(), "level": record.levelname.lower()}
        if record.exc_info:
            # The kind and the place: messages of exceptions may quote what a client sent.
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            content |= {"where": place}
        return json.dumps(line | content, default=str)


def configure() -> None:
    """Let the serving rooms and uvicorn log to standard error, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("capflow.serving", logging.INFO), ("uvicorn.error", logging.INFO)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
