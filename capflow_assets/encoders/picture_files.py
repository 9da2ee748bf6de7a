"""A net of the customer's own over pictures: an ONNX file that reads them as torchvision's models do.

Its one input is (rows, 3, side, side), 32-bit: red, green and blue in 0 to 1, less their mean over ImageNet and over
their deviation. Its first output is a vector of each row, or numbers of places, whose mean is taken. The file is data:
nothing of it is run but the operations of ONNX, and it may name no other file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

# Of a net that reads pictures of any side.
SIDE = 224
PROBE_ROWS = 2


def version(path: Path) -> str:
    """Which encoder makes the vectors: the digest of the file."""
    return f"onnx/{_digest(path, *_stamp(path))}"


def demand(path: Path) -> None:
    """Refuse a file that is missing or no net over pictures, before any worker starts.

    Raises:
        SourceError: with the reason.
    """
    if not path.is_absolute():
        raise SourceError("An encoder is read from a disk", expected="a path that every worker has", came=str(path))
    if not path.exists():
        raise SourceError("There is no encoder", where=str(path), do="check path in [features.item_pictures]")
    length(path)


def length(path: Path) -> int:
    """How many numbers a vector has.

    Raises:
        SourceError: the file is no net over pictures.
    """
    return _length(path, *_stamp(path))


def side(path: Path) -> int:
    """How many pixels wide and high the pictures are that it reads.

    Raises:
        SourceError: the file is no net over pictures.
    """
    return _side(path, *_stamp(path))


def vectors_of(rows: np.ndarray, path: Path) -> np.ndarray:
    """The vector of each row of (rows, 3, side, side); (rows, length).

    Raises:
        SourceError: the file is no net over pictures, or gives what is no number.
    """
    import numpy as np

    session = _session(path, *_stamp(path))
    shown = session.get_inputs()[0]
    is_single = shown.shape[0] == 1
    batches = [rows[place : place + 1] for place in range(len(rows))] if is_single else [rows]
    try:
        parts = [np.asarray(session.run(None, {shown.name: batch})[0], dtype=float) for batch in batches]
        vectors = np.concatenate(parts)
        if vectors.ndim > 2:
            vectors = vectors.reshape(*vectors.shape[:2], -1).mean(axis=2)
    except Exception as error:  # another library's, of a file from outside
        raise _refusal(path, f"{type(error).__name__} where pictures are shown to it") from None
    if vectors.shape[:1] != (len(rows),) or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise _refusal(path, f"an output of shape {vectors.shape}, or numbers that are none")
    return vectors


@cache
def _session(path: Path, size: int, changed_ns: int) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # another library's, of a file from outside
        raise _refusal(path, f"what cannot be read ({type(error).__name__})") from None
    inputs: list[Any] = session.get_inputs()
    shapes = ", ".join(str(one.shape) for one in inputs)
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] != 3 or inputs[0].type != "tensor(float)":
        raise _refusal(path, f"inputs of shape {shapes}, {', '.join(one.type for one in inputs)}")
    return session


@cache
def _side(path: Path, size: int, changed_ns: int) -> int:
    high, wide = _session(path, size, changed_ns).get_inputs()[0].shape[2:]
    sides = {side for side in (high, wide) if isinstance(side, int)}
    if len(sides) > 1:
        raise _refusal(path, f"pictures of {high} by {wide}")
    return sides.pop() if sides else SIDE


@cache
def _length(path: Path, size: int, changed_ns: int) -> int:
    import numpy as np

    wide = _side(path, size, changed_ns)
    return int(vectors_of(np.zeros((PROBE_ROWS, 3, wide, wide), dtype="float32"), path).shape[1])


@cache
def _digest(path: Path, size: int, changed_ns: int) -> str:
    from hashlib import blake2b

    return blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """The size of a file and when it was changed: what is known of a file is known of this one."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _refusal(path: Path, received: str) -> SourceError:
    return SourceError(
        "This is no net over pictures",
        expected="an ONNX file with one input (rows, 3, side, side) of 32-bit numbers, whose first output is vectors",
        came=received,
        where=str(path),
        do="export it anew, or choose another encoder in [features.item_pictures]",
    )
