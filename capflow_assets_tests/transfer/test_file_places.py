"""Files written whole where two senders write to one folder, and one tidies what the other has not finished."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capflow_assets.transfer.file_places import TIDIED, UNFINISHED, Folder

NAME = "boots/part-00000.csv"
CONTENTS = [bytes([letter]) * 200_000 for letter in b"abcd"]
ROUNDS = 10


def unfinished(root: Path) -> list[Path]:
    return [path for path in root.rglob(f"*{UNFINISHED}") if path.is_file()]


def test_a_file_is_one_senders_own_whoever_else_writes_and_tidies(tmp_path: Path) -> None:
    def write_and_tidy(content: bytes) -> None:
        for number in range(ROUNDS):
            Folder(str(tmp_path)).write(NAME, content)
            if number < TIDIED // (len(CONTENTS) - 1):
                for path in unfinished(tmp_path):
                    path.unlink(missing_ok=True)
            assert Folder(str(tmp_path)).read(NAME) in CONTENTS
            assert Folder(str(tmp_path)).names("boots")[NAME] == len(content)

    with ThreadPoolExecutor(len(CONTENTS)) as senders:
        list(senders.map(write_and_tidy, CONTENTS))
    assert list(Folder(str(tmp_path)).names("boots")) == [NAME]


@pytest.mark.parametrize("way", ["write", "write_new"])
@pytest.mark.parametrize("times", [1, TIDIED])
def test_a_file_that_was_tidied_away_before_it_was_whole_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, times: int
) -> None:
    left = [None] * times
    sync = os.fsync

    def tidied(file: int) -> None:
        sync(file)
        if left:
            left.pop()
            for path in unfinished(tmp_path):
                path.unlink()

    monkeypatch.setattr(os, "fsync", tidied)
    assert getattr(Folder(str(tmp_path)), way)(NAME, b"whole") in (None, True)
    assert not left
    assert Folder(str(tmp_path)).read(NAME) == b"whole"
    assert not unfinished(tmp_path)


def test_of_two_that_write_what_is_new_one_is_right(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(CONTENTS)) as senders:
        wrote = list(senders.map(lambda content: Folder(str(tmp_path)).write_new(NAME, content), CONTENTS))
    assert wrote.count(True) == 1
    assert Folder(str(tmp_path)).read(NAME) == CONTENTS[wrote.index(True)]
