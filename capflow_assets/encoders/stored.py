"""The bytes of a file that landing has seen, wherever a worker reads them: exactly those, or a reason.

A file may be another one by now. What does not have the digest that it landed with is not read on: behind a path that
was swapped for a link there may be another customer's file.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

MOST_BYTES = 64 << 20


class Stored(NamedTuple):
    """The ``content`` of a file, empty where ``reason`` says why it is set aside."""

    content: bytes
    reason: str = ""


def stored(path: str, digest: str | None, most_bytes: int = MOST_BYTES) -> Stored:
    """The file at an absolute ``path`` or ``s3://`` address whose SHA-256 is ``digest`` (hexadecimal).

    >>> stored("relative.png", "00" * 32).reason, stored("/nowhere.png", None).reason
    ('has no absolute path', 'landed without a digest')
    """
    from pyarrow import ArrowException

    if not path.startswith(("/", "s3://")):
        return Stored(b"", "has no absolute path")
    if not digest:
        return Stored(b"", "landed without a digest")
    try:
        content = _read(path, most_bytes)
    except (OSError, ValueError, ArrowException) as error:
        return Stored(b"", f"cannot be read: {type(error).__name__}")
    if content is None:
        return Stored(b"", f"has more than {most_bytes:,} bytes")
    return Stored(content) if sha256(content).hexdigest() == digest else Stored(b"", "is another file than landed")


def _read(path: str, most_bytes: int) -> bytes | None:
    from urllib.parse import quote

    from pyarrow import fs

    local = fs.LocalFileSystem(), path
    system, name = local if path.startswith("/") else fs.FileSystem.from_uri("s3://" + quote(path[5:], safe="/"))
    with system.open_input_file(name) as file:
        return None if file.size() > most_bytes else bytes(file.read())
