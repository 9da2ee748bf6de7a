"""In which encoding the bytes of a sample are text: by their mark, the words that it makes of the head, its letters.

Bytes alone do not tell: Turkish ``Müşteri`` is ``Müþteri`` in the encoding of Western Europe. A known word does.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence

from capflow_assets.drafting.words import meaning
from capflow_assets.sources.reading import text_encodings

JUDGED_LINES = 200
HEAD_BYTES, HEAD_LINES = 1 << 14, 40
WORD = re.compile(r"[^\W\d_]+")
# What cp1254 writes where cp1252 has Icelandic letters; Icelandic has accents as well, Turkish none.
TURKISH, ICELANDIC = re.compile("[ýþðÝÞÐ]"), re.compile("[áéíóúæÁÉÍÓÚÆ]")
WESTERN = ("cp1252", "iso-8859-15", "latin-1")
# What Windows writes reads all of the older one and some characters more.
WIDER = {"shift_jis": "cp932", "euc-kr": "cp949"}


def encoding_of(pieces: Sequence[bytes]) -> str:
    """The encoding that bytes are text in: by their mark, else UTF-8, else the likeliest that reads the odd ones.

    >>> encoding_of(["naïve".encode()]), encoding_of(["Müller; Köln; Straße".encode("cp1252")])
    ('utf-8', 'cp1252')
    >>> encoding_of(["Fiş No;Müşteri No".encode("cp1254")]), encoding_of(["伝票番号,会員番号".encode("cp932")])
    ('cp1254', 'cp932')
    """
    for mark, marked in text_encodings.MARKS.items():
        if pieces[0].startswith(mark):
            return "utf-8-sig" if mark == codecs.BOM_UTF8 else marked
    if pieces[0][:400].count(0) > len(pieces[0][:400]) // 4:
        return "utf-16-le" if pieces[0][1:2] == b"\0" else "utf-16-be"
    votes = _votes(pieces)
    if not votes:
        return "utf-8"
    likeliest = votes.most_common(1)[0][0]
    known = {name: _known_words(pieces[0], name) for name in dict.fromkeys((likeliest, *text_encodings.CANDIDATES))}
    best = max(known, key=lambda name: known[name])
    if known[best] > known[likeliest]:
        return WIDER.get(best, best)
    return "cp1254" if likeliest in WESTERN and _is_turkish(pieces[0]) else WIDER.get(likeliest, likeliest)


def _votes(pieces: Sequence[bytes]) -> Counter[str]:
    """How many of the lines that are no UTF-8 each encoding reads best."""
    votes: Counter[str] = Counter()
    for piece in pieces:
        for line in piece.split(b"\n")[1:-1] if len(pieces) > 1 else piece.split(b"\n"):
            text = line.decode("utf-8", text_encodings.KEPT)
            if votes.total() < JUDGED_LINES and text_encodings.is_spoilt(text):
                votes.update(names[0] for _, names in text_encodings.likely(text, "utf-8")[:1])
    return votes


def _known_words(head: bytes, encoding: str) -> int:
    """How many words with other letters than ASCII's, of the first lines, are known as those of columns."""
    lines = b"\n".join(head[:HEAD_BYTES].split(b"\n")[:HEAD_LINES])
    try:
        text = lines.decode(encoding) if len(lines) < HEAD_BYTES else lines.decode(encoding, "ignore")
    except UnicodeDecodeError:
        return 0
    return sum(bool(meaning(word)) for word in set(WORD.findall(text)) if not word.isascii())


def _is_turkish(head: bytes) -> bool:
    text = head[:HEAD_BYTES].decode("cp1252", "replace")
    return bool(TURKISH.search(text)) and not ICELANDIC.search(text)
