"""Bytes that are no text in the encoding that a source names: kept apart, shown with their line, and never replaced.

A decoder that puts U+FFFD in their place makes one id of two. Here such a byte becomes a lone surrogate, which no text
holds, so that it is told where it stands; and the encodings that would read the line are found by trying.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Sequence
from unicodedata import category, name

from capflow_assets.errors import SourceError

# The errors handler of decoders and encoders.
KEPT = "capflow.kept"
FIRST, LAST = 0xDC00, 0xDCFF
SPOILT = re.compile("[\udc00-\udcff]+")
AROUND = 8
SHOWN_CHARACTERS = 60
MOST_SHOWN, MOST_NAMED = 3, 3
# By how often exports come in them; those of one reading are told together.
CANDIDATES = (
    "utf-8", "cp1252", "iso-8859-15", "latin-1", "cp1250", "iso-8859-2", "cp850", "cp437", "mac-roman", "cp1251",
    "koi8-r", "cp1253", "cp1254", "shift_jis", "cp932", "euc-jp", "gb18030", "big5", "euc-kr",
    "cp949",
)  # fmt: skip
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Letters, digits and signs of a price list; not those that draw boxes or control a printer.
ODD = ("Cc", "Cf", "Cn", "Co", "Cs", "So", "Sk", "Mn")
LETTERS = re.compile(r"[^\W\d_]+")
MARKED_LETTERS = re.compile("[\u00c0-\u024f]{3,}|[\uff61-\uff9f]+")


def _kept(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "".join(chr(FIRST + byte) for byte in error.object[error.start : error.end]), error.end
    if isinstance(error, UnicodeEncodeError):
        places = [ord(value) for value in error.object[error.start : error.end]]
        if all(FIRST <= place <= LAST for place in places):
            return bytes(place - FIRST for place in places), error.end
    raise error


codecs.register_error(KEPT, _kept)


def is_spoilt(text: str) -> bool:
    """Whether a text that was decoded with ``KEPT`` holds bytes that are none of its encoding.

    >>> [is_spoilt(written.decode("utf-8", KEPT)) for written in ("René".encode(), "René".encode("cp1252"))]
    [False, True]
    """
    return not text.isascii() and SPOILT.search(text) is not None


def complaint(text: str, encoding: str) -> str:
    """What is wrong with a text that is spoilt: its bytes, where they are, and what would read them.

    >>> complaint(b"1;Ren\\xe9;12".decode("utf-8", KEPT), "utf-8")
    "holds byte e9, which is no text in utf-8: behind '1;Ren'; cp1252, iso-8859-15 and latin-1 read '1;René;12'"
    """
    match = SPOILT.search(text)
    assert match is not None  # noqa: S101  (it is spoilt)
    unread = match[0].encode(encoding, KEPT)
    before = text[max(0, match.start() - AROUND) : match.start()]
    word = "bytes" if len(unread) > 1 else "byte"
    said = f"holds {word} {unread[:8].hex(' ')}, which {'are' if len(unread) > 1 else 'is'} no text in {encoding}"
    others = "; ".join(readings(text, encoding))
    return f"{said}: behind {before!r}" + (f"; {others}" if others else "")


def readings(text: str, encoding: str) -> Iterator[str]:
    """The encodings that read a spoilt text, and what it is in each: at most three readings, the likeliest first."""
    for read, names in likely(text, encoding)[:MOST_SHOWN]:
        *first, last = names[:MOST_NAMED]
        listed = f"{', '.join(first)} and {last} read" if first else f"{last} reads"
        yield f"{listed} {read[:SHOWN_CHARACTERS].strip()!r}"


def likely(text: str, encoding: str) -> list[tuple[str, list[str]]]:
    """What a spoilt text is around its first spoilt byte, each reading with its encodings; the likeliest first."""
    match = SPOILT.search(text)
    if match is None:
        return []
    start, end = max(0, match.start() - AROUND), match.end() + AROUND
    # An encoding of several bytes a character is cut where characters end: at the ends of what could be read.
    whole = text[start:end].encode(encoding, KEPT)
    seen: dict[str, list[str]] = {}
    marked = _marked(text.encode(encoding, KEPT))
    whole = whole[: len(whole) // 4 * 4] if marked else whole
    for encoding_name in marked or CANDIDATES:
        if codecs.lookup(encoding_name).name == codecs.lookup(encoding).name:
            continue
        try:
            read = whole.decode(encoding_name)
        except UnicodeDecodeError:
            continue
        if _is_plausible(read):
            seen.setdefault(read, []).append(encoding_name)
    return sorted(seen.items(), key=lambda pair: _oddness(pair[0]))


def refusal(text: str, encoding: str, where: str, column: str = "") -> SourceError:
    """The error for a file that is not of the encoding that is declared.

    Raises nothing: it is for the reader of the file to raise.
    """
    others = "; ".join(readings(text, encoding))
    do = f"name the encoding in the options: {others}" if others else "export it in one encoding, best in UTF-8"
    received = complaint(text, encoding).partition("; ")[0].removeprefix("holds ")
    return SourceError(
        "A file holds bytes that are no text in its encoding",
        expected=f"text in {encoding}",
        came=received + (f" (column {column!r})" if column else ""),
        where=where,
        do=f"{do}; undecodable = 'reject' sets aside the rows that hold such bytes",
    )


def is_marked(text: str, encoding: str) -> bool:
    """Whether a text begins with the mark of another encoding."""
    return bool(_marked(text.encode(encoding, KEPT)))


def spoilt_columns(values: Sequence[str], columns: Sequence[str], used: Collection[str] | None) -> list[str]:
    """The columns that somebody reads whose value in a row is spoilt.

    >>> spoilt_columns(["\\udce9", "a", "\\udce9"], ["x", "y", "z"], ["x", "y"])
    ['x']
    """
    pairs = zip(columns, values, strict=False)
    return [column for column, value in pairs if is_spoilt(value) and (used is None or column in used)]


def mended(text: str) -> str:
    """A text with U+FFFD for what is spoilt: to be shown, or where nobody reads it."""
    return SPOILT.sub("\ufffd", text) if is_spoilt(text) else text


def _marked(content: bytes) -> tuple[str, ...]:
    return tuple(marked for mark, marked in MARKS.items() if content.startswith(mark))[:1]


def _is_plausible(read: str) -> bool:
    """Whether a text may be one that people write: no control characters, and words of one script and case."""
    if any(category(letter) in ODD for letter in read if not letter.isascii()) or any(
        ord(letter) < 32 and letter not in "\t\r\n" for letter in read
    ):
        return False
    words = [word for word in LETTERS.findall(read) if not word.isascii()]
    # A capital within a word of small letters is what an encoding of another country makes of one.
    is_cased = any(re.search(r"[a-z]", word) and any(letter.isupper() for letter in word[1:]) for word in words)
    return not is_cased and all(len({_script(letter) for letter in word}) == 1 for word in words)


def _script(letter: str) -> str:
    script = name(letter, "").partition(" ")[0]
    return "EASTERN" if script in ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL") else script


def _oddness(read: str) -> int:
    """How much of a reading is no letter, or letters with marks one after another, of which people write few."""
    signs = sum(not letter.isalpha() for letter in read if not letter.isascii())
    return signs + sum(len(run) for run in MARKED_LETTERS.findall(read))


# One byte a character below 128, so that a line's end is found without decoding.
SPLITTABLE = ("utf-8", "ascii", "iso8859", "cp125")


def known_encoding(name: str) -> str:
    """Python's own name of a text encoding."""
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(f"{name!r} is no text encoding; usual ones are utf-8, iso-8859-1, windows-1252") from None
    return codecs.lookup(name).name
