"""Ids are found in the files of models, whatever those files are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from capflow_assets.erasure.id_search import CHUNK_BYTES, search

USER = "o'Né\"il-77ü"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "acme" / "mlflow" / "x"
    place.mkdir(parents=True)
    return place


def packed(place: Path, content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(place, "w", kind) as archive:
        archive.writestr("content", content)


def test_ids_are_found_in_every_form(folder):
    (folder / "text").write_text(f"before {USER} after", encoding="utf-8")
    (folder / "json").write_text('"o\'N\\u00e9\\"il-77\\u00fc"')
    packed(folder / "packed", b"0" * 100 + USER.encode("utf-32-le"))
    (folder / "across").write_bytes(b"0" * (CHUNK_BYTES - 3) + USER.encode())
    (folder / "without").write_text("nobody")
    result = search(str(folder.parents[1]), USER)
    assert result.holding == ("x/across", "x/json", "x/packed", "x/text")
    assert result.unread == ()


def test_a_damaged_file_and_one_without_end_are_named(folder):
    packed(folder / "garbled", b"0123456789" * 100, zipfile.ZIP_STORED)
    content = (folder / "garbled").read_bytes().replace(b"0123456789", b"0123456780", 1)
    (folder / "garbled").write_bytes(content)
    with zipfile.ZipFile(folder / "endless", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("content", b"0" * (1 << 24))
    (folder / "holding").write_text(USER, encoding="utf-8")
    result = search(str(folder.parents[1]), USER)
    assert result.holding == ("x/holding",)
    assert result.unread == ("x/endless", "x/garbled")
