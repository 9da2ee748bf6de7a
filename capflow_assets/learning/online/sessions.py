"""Sessions of ONNX Runtime: one thread each, so that many of them share a core."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
