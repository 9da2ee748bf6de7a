"""What a file holds, told from its bytes and its name: kind, media type, hash, and whether it is whole.

A file is read once, a megabyte at a time, so that films and pictures of any size cost the same memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from mimetypes import MimeTypes
from typing import IO, Literal

Kind = Literal["image", "audio", "text", "other"]
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 8 << 10
TAIL_BYTES = 4 << 10
# A recorder that does not know the length yet writes the largest one.
UNKNOWN_LENGTH = 0xFFFFFFF0
ENDS = {"image/png": b"IEND", "image/jpeg": b"\xff\xd9", "image/gif": b";"}
TEXTS = ("application/json", "application/xml", "application/javascript", "image/svg+xml")
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Content:
    """What one file holds. ``complaint`` is blank where it is whole and what its name says."""

    kind: Kind
    media_type: str
    size_bytes: int
    sha256: str | None
    complaint: str


def content_of(name: str, stream: IO[bytes]) -> Content:
    """What the file ``name`` holds, read from ``stream`` to its end."""
    digest, size, head, tail = hashlib.sha256(), 0, b"", b""
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        head = head or chunk[:HEAD_BYTES]
        tail = (tail + chunk)[-TAIL_BYTES:]
    named = named_type(name)
    if not size:
        return Content(kind_of(named), named, 0, None, "is empty")
    media = media_type(head, named)
    complaint = _misnamed(named, media) or _cut(media, head, tail, size)
    return Content(kind_of(media), media, size, digest.hexdigest(), complaint)


def named_type(name: str) -> str:
    """The media type that a file's name promises; ``application/octet-stream`` where it promises none.

    >>> named_type("shop/Apple.JPG"), named_type("README")
    ('image/jpeg', 'application/octet-stream')
    """
    return _types().guess_type(name)[0] or "application/octet-stream"


def media_type(head: bytes, named: str) -> str:
    """The media type of a file that begins with ``head``; text has no mark, so its name tells what kind of text.

    >>> media_type(b"RIFF....WAVEfmt ", "audio/x-wav"), media_type(b"Sweet, crisp.", "text/markdown")
    ('audio/wav', 'text/markdown')
    """
    import filetype

    mark = filetype.guess_mime(head)
    if mark is not None:
        return str(mark).replace("audio/x-", "audio/")
    if _is_text(head):
        return named if named.startswith("text/") or named in TEXTS else "text/plain"
    return "application/octet-stream"


def kind_of(media: str) -> Kind:
    """The kind of a media type.

    >>> kind_of("image/webp"), kind_of("application/json"), kind_of("application/pdf")
    ('image', 'text', 'other')
    """
    family = media.partition("/")[0]
    if family == "image":
        return "image"
    if family == "audio":
        return "audio"
    return "text" if family == "text" or media in TEXTS else "other"


@cache
def _types() -> MimeTypes:
    """The names that Python itself knows: those of the machine differ from one to the next."""
    types = MimeTypes()
    types.add_type("text/markdown", ".md")
    types.add_type("audio/flac", ".flac")
    types.add_type("audio/ogg", ".ogg")
    types.add_type("audio/mp4", ".m4a")
    return types


@cache
def _marked() -> frozenset[str]:
    """The media types that begin with a mark."""
    import filetype

    return frozenset(str(file_type.mime).replace("audio/x-", "audio/") for file_type in filetype.types)


def _is_text(head: bytes) -> bool:
    if head.startswith(BYTE_ORDER_MARKS):
        return True
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return control == 0


def _misnamed(named: str, media: str) -> str:
    """The complaint about a picture or a recording that is none: a page of an error, say, saved under its name."""
    promised = kind_of(named)
    if promised not in ("image", "audio") or kind_of(media) == promised:
        return ""
    is_unknown = media == "application/octet-stream" and named.replace("audio/x-", "audio/") not in _marked()
    return "" if is_unknown else f"is named as {named} and holds {media}"


def _cut(media: str, head: bytes, tail: bytes, size: int) -> str:
    """The complaint about a file that ends too early."""
    if head.startswith(b"RIFF") and len(head) >= 8:
        length = int.from_bytes(head[4:8], "little")
        is_short = 0 < length < UNKNOWN_LENGTH and size < length + 8
        return f"is cut short: {size:,} of {length + 8:,} bytes" if is_short else ""
    end = ENDS.get(media)
    return "is cut short: its end is missing" if end and end not in tail else ""
