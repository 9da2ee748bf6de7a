"""One normal form of an id: in Python, on the embedded engine and on a JVM."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
import regex

from capflow_assets.expressions import ids

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# As they are written, and what they are; the second column is typed by hand.
WRITTEN = {
    "U1": "U1",
    "U1\t": "U1",
    "\r\nU1": "U1",
    "U1\u00a0": "U1",
    "\u3000U1": "U1",
    "\ufeffU1": "U1",
    "U1\u200b": "U1",
    "\u200e\u202aU1\u202c": "U1",
    "U1\u0000": "U1",
    "\u2009\u2060U1\u00ad ": "U1",
    # What stands inside stays, and so do case, zeros and marks.
    "007": "007",
    "u1": "u1",
    "U 1": "U 1",
    "U\u200b1": "U\u200b1",
    "0": "0",
    "-": "-",
    "Ren\u00e9": "Ren\u00e9",
    "\u0418\u0432\u0430\u043d": "\u0418\u0432\u0430\u043d",
    "\U0001f600": "\U0001f600",
    "": "",
    " ": "",
    "\u00a0\u3000\u200b": "",
    # Decomposed: Rene, Han (Korean jamo), the sign of Ångström, two marks in the wrong order.
    "Rene\u0301": "Ren\u00e9",
    "\u1112\u1161\u11ab": "\ud55c",
    "\u212b": "\u00c5",
    "a\u0307\u0323": "\u1ea1\u0307",
    "\u00a0Rene\u0301\u200b": "Ren\u00e9",
}


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_engines_and_python_agree(engine: str, request: pytest.FixtureRequest) -> None:
    session: SparkSession = request.getfixturevalue(engine)
    # An engine is not handed a NUL: no file that it reads holds one.
    texts = [text for text in WRITTEN if "\u0000" not in text]
    frame = session.createDataFrame([(text, text) for text in texts], "text string, id string")
    bare = ids.marked(frame.withColumn("id", ids.identifier("id")), ["id"])
    marked = {row["text"]: row[ids.UNCOMPOSED] for row in bare.collect()}
    normalised = {row["text"]: row["id"] for row in ids.composed(bare, ["id"]).collect()}
    assert (
        normalised
        == {text: WRITTEN[text] or None for text in texts}
        == {text: ids.normal(text) or None for text in texts}
    )
    # Only what NFC may change has to be composed; what has no mark is left alone.
    assert {text for text, is_marked in marked.items() if is_marked} == {
        text for text in texts if unicodedata.normalize("NFC", text) != text
    }


def test_every_id_in_python() -> None:
    assert {text: ids.normal(text) for text in WRITTEN} == WRITTEN
    assert all(ids.normal(text) == text for text in WRITTEN.values())
    assert ids.normal(None) == ""


def test_all_white_space_of_unicode_is_blank() -> None:
    unseen = [chr(code) for code in range(0x10000) if chr(code).isspace() or unicodedata.category(chr(code)) == "Cc"]
    assert [hex(ord(character)) for character in unseen if character not in ids.BLANKS] == []


def test_no_text_that_nfc_changes_goes_unmarked() -> None:
    """Each character that NFC changes, reorders or composes with the one before it is among those that are marked."""
    pattern = regex.compile(regex.sub(r"\\x\{(\w+)\}", lambda match: chr(int(match[1], 16)), ids.MAY_BE_UNCOMPOSED))
    seconds = {
        part.split()[1] for part in map(unicodedata.decomposition, map(chr, range(0x80, 0x32000))) if " " in part
    }
    followers = {int(code, 16) for code in seconds if not code.startswith("<")}
    unmarked = [
        hex(code)
        for code in range(0x80, 0x32000)
        if not 0xD800 <= code < 0xE000
        and ((code in followers and unicodedata.category(chr(code))[0] in "ML" and unicodedata.combining(chr(code)))
             or not unicodedata.is_normalized("NFC", chr(code)) or unicodedata.combining(chr(code)))
        and not pattern.search(chr(code))
    ]  # fmt: skip
    assert unmarked == []
