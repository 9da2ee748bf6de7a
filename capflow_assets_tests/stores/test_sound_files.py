"""Files that were found whole are known again, and any file that was touched since is not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from capflow_assets.home.places import Home
from capflow_assets.stores.sound_files import FILE, SoundFiles

PATH = "acme/mlflow/churn/run/artifacts/model/model.skops"
FILES = {"model/model.skops": (PATH, "a digest")}
TYPES = frozenset({"builtins.dict"})
LONG_AGO_NS = 1_600_000_000_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with the file of one model, of which an hour has passed since it was written."""
    model = tmp_path / "lake" / PATH
    model.parent.mkdir(parents=True)
    model.write_bytes(b"whole")
    later = model.stat().st_ctime_ns + 3_600_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)
    return Home.of(tmp_path, {})


def remembered(home: Home) -> SoundFiles:
    """The memory after a look that found the file whole, read again."""
    memory = SoundFiles.of(home)
    sign = memory.sign(FILES, TYPES)
    assert sign is not None
    assert not memory.has(sign)
    memory.add(sign)
    memory.save(is_complete=True)
    return SoundFiles.of(home)


def is_known(memory: SoundFiles, files: dict[str, tuple[str, str | None]] = FILES) -> bool:
    return memory.has(memory.sign(files, TYPES))


def test_a_file_that_was_whole_is_known_in_the_next_look(home):
    assert is_known(remembered(home))


def test_a_file_of_other_content_is_not_known_though_its_size_and_time_are_the_same(home):
    memory, file = remembered(home), Path(home.lake) / PATH
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"other")
    os.utime(file, ns=times)
    assert file.stat().st_mtime_ns == times[1]
    assert not is_known(memory)


def test_a_file_that_took_its_place_is_not_known(home):
    memory, file = remembered(home), Path(home.lake) / PATH
    file.with_name("copy").write_bytes(file.read_bytes())
    file.with_name("copy").replace(file)
    assert not is_known(memory)


def test_another_digest_or_another_type_is_another_question(home):
    memory = remembered(home)
    assert not is_known(memory, {"model/model.skops": (PATH, "another digest")})
    assert not memory.has(memory.sign(FILES, TYPES | {"sklearn.svm.SVC"}))


def test_what_lies_behind_a_link_is_never_known(home):
    memory, folder = remembered(home), Path(home.lake) / "acme/mlflow/churn"
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(folder.with_name("moved"))
    assert not is_known(memory)


def test_a_file_of_this_moment_is_read_again(home, monkeypatch):
    changed = (Path(home.lake) / PATH).stat().st_ctime_ns
    monkeypatch.setattr("time.time_ns", lambda: changed + 1_000)
    assert SoundFiles.of(home).sign(FILES, TYPES) is None


def test_missing_files_and_buckets_have_no_sign(home):
    assert SoundFiles.of(home).sign({"model/model.skops": ("acme/mlflow/gone", None)}, TYPES) is None
    assert SoundFiles.of(replace(home, lake="s3://bucket/lake")).sign(FILES, TYPES) is None


def test_the_memory_names_nobody_and_forgets_what_is_gone(home):
    remembered(home)
    assert "acme" not in (home.root / FILE).read_text()
    empty = SoundFiles.of(home)
    empty.save(is_complete=False)
    assert is_known(SoundFiles.of(home))
    empty.save(is_complete=True)
    assert not is_known(SoundFiles.of(home))


def test_a_damaged_memory_is_an_empty_one(home):
    (home.root / FILE).write_bytes(b"\xff\xfe")
    assert not is_known(SoundFiles.of(home))
