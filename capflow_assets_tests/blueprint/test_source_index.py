"""What was read of source files is kept from one process to the next, and read again where a file has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from capflow_assets.blueprint.source_files import SourceFile, read_source
from capflow_assets.blueprint.source_index import SECOND_NS, SourceIndex

HANDS_ON = "from shop.nouns.noun import Thing as Noun\n"


@pytest.fixture(autouse=True)
def bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(HANDS_ON)
    (folder / "block.py").write_text("import shop.sums\nfrom shop import Noun\n")
    return folder


def read(package: Path, name: str) -> SourceFile:
    path = package / name
    stat = path.stat()
    return read_source(path, package, stat.st_mtime_ns, stat.st_size)


def kept(package: Path, name: str) -> SourceFile | None:
    """A file as a process that begins now knows it."""
    stat = (package / name).stat()
    return SourceIndex(package).source(package / name, stat.st_mtime_ns, stat.st_size)


def keep(package: Path) -> None:
    SourceIndex(package).keep({package / name: read(package, name) for name in ("__init__.py", "block.py")})


@pytest.mark.parametrize("name", ["__init__.py", "block.py"])
def test_a_file_is_known_as_it_was_read(package: Path, name: str) -> None:
    assert kept(package, name) is None
    keep(package)
    assert kept(package, name) == read(package, name)


def test_a_file_that_has_changed_is_not_known_until_it_is_kept_again(package: Path) -> None:
    keep(package)
    (package / "block.py").write_text("import shop.others\n")
    assert kept(package, "block.py") is None
    assert kept(package, "__init__.py") is not None
    keep(package)
    assert kept(package, "block.py") == read(package, "block.py")


def test_a_file_of_the_same_size_that_was_changed_later_is_not_known(package: Path) -> None:
    keep(package)
    stat = (package / "block.py").stat()
    os.utime(package / "block.py", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert kept(package, "block.py") is None


def test_an_image_that_keeps_whole_seconds_keeps_what_was_read(package: Path) -> None:
    os.utime(package / "block.py", ns=(0, 5 * SECOND_NS + 7))
    keep(package)
    os.utime(package / "block.py", ns=(0, 5 * SECOND_NS))
    assert kept(package, "block.py") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"reader": "of another release", "files": {}}'])
def test_a_damaged_or_foreign_index_is_none(package: Path, content: str) -> None:
    keep(package)
    SourceIndex(package).file.write_text(content)
    assert kept(package, "block.py") is None
    keep(package)
    assert kept(package, "block.py") is not None


def test_nothing_is_written_where_python_writes_nothing(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    keep(package)
    assert not SourceIndex(package).file.exists()


def test_a_folder_that_cannot_be_written_to_is_no_error(package: Path) -> None:
    (package / "__pycache__").write_text("a file where the folder would be")
    keep(package)
    assert kept(package, "block.py") is None
