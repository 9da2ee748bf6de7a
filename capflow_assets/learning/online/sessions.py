"""Sessions of ONNX Runtime: one thread each, so that many of them share a core."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

# Measured: what a session of trees keeps, at least and for each node.
SESSION_BYTES, NODE_BYTES = 300_000, 110


def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    """A session of one thread that says nothing of warnings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def asked_at_once(session: onnxruntime.InferenceSession) -> Callable[..., list[Any]]:
    """What answers for a session, without checks in Python of inputs that are right, a fifth of the time of one row.

    Its arguments are the names of outputs, the inputs by name, and options of the run or None.
    """
    return getattr(session, "_sess", session).run
