"""CSV that a spreadsheet may open: every cell is read back by Python's own csv, and no text is a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from capflow_assets.delivery.csv import DESTINATION, Options
from capflow_assets.delivery.encodings import csv as encoded
from capflow_assets_tests.delivery.deliveries import batches_of, delivery_of, rows_of


@pytest.mark.parametrize("text", ["=1+1", "+3 dl", "-x", "@SUM(A1)", " =cmd()", "\t=1", "\r=1", "＝1", "\ufeff=1"])
def test_text_that_would_be_computed_begins_with_an_apostrophe(text: str) -> None:
    import pyarrow as pa

    ((_,), (cell,)) = csv.reader(io.StringIO(encoded(pa.table({"a": [text]})).decode(), newline=""))
    assert cell == f"'{text}"


@pytest.mark.parametrize("text", ["a-b", 'Anna, née "X"', "two\nlines", "", "0049 171", "ann@example.com"])
def test_other_text_stays_as_it_is(text: str) -> None:
    import pyarrow as pa

    ((_,), (cell,)) = csv.reader(io.StringIO(encoded(pa.table({"a": [text]})).decode(), newline=""))
    assert cell == text


def test_numbers_lists_and_times(tmp_path: Path) -> None:
    delivery = delivery_of()
    rows = rows_of(delivery, ["=cmd()"], score=-0.25)
    sent = DESTINATION.send(Options(location=str(tmp_path), separator=";"), delivery, batches_of(rows))
    (file,) = tmp_path.rglob("*.csv")
    assert list(csv.reader(io.StringIO(file.read_text()), delimiter=";")) == [
        ["user", "score", "reasons", "items", "as_of"],
        ["'=cmd()", "-0.25", "no visit, 40 days", '["i1","i2"]', "2026-03-01T00:00:00Z"],
    ]
    assert sent.bytes == file.stat().st_size
    held = DESTINATION.held(Options(location=str(tmp_path)), delivery)
    assert held is not None
    assert (held.rows, held.checksum) == (1, sent.checksum)
