"""CSV that a spreadsheet may open: no text in it is taken for a formula.

Excel, LibreOffice and Google Sheets compute a cell that begins with ``=``, ``+``, ``-`` or ``@``, quotes or none, and a
formula may start programs and send other cells away. What customers sent is in our exports, so such text gets an
apostrophe before it, which shows it as the text that it is. Numbers stay as they are, text that is one too. Whoever
reads the CSV by a program drops the apostrophe, or takes JSON or Parquet, which hold every value exactly.
"""

from __future__ import annotations

import re
from typing import Any

NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?%?")
# Full-width signs are taken for plain ones; where the list separator is another than the comma, text breaks at it.
FORMULA = re.compile(r'(^|[;\t\r\n])([ "\u00a0\u200b\ufeff]*)(?=[=+\-@＝＋－＠])')


def harmless(value: Any) -> Any:
    """A cell for a CSV file: text that a spreadsheet would compute begins with an apostrophe.

    >>> [harmless(value) for value in ("=1+1", "-5", "+3 dl", "Anna; =HYPERLINK(1)", -5.2, "a-b")]
    ["'=1+1", '-5', "'+3 dl", "Anna;' =HYPERLINK(1)", -5.2, 'a-b']
    """
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    text = FORMULA.sub(r"\1'\2", value)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text
