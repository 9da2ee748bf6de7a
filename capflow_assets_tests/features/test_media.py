"""Pictures and recordings that landed, as vectors; and those that are set aside, with the reason."""

from __future__ import annotations

import io
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from capflow_assets.encoders.stored import stored
from capflow_assets.features.call_sounds import TABLE as SOUNDS
from capflow_assets.features.call_sounds import call_sounds
from capflow_assets.features.item_pictures import TABLE as PICTURES
from capflow_assets.features.item_pictures import item_pictures
from capflow_assets.raw.media import TABLE as MEDIA
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def picture(colour: str, size: tuple[int, int] = (30, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def recording(loud: float = 0.5) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, loud * np.sin(np.arange(4000) * 0.3), 8000, format="WAV")
    return file.getvalue()


def landed(folder: Path, name: str, content: bytes, kind: str, **more: Any) -> dict[str, Any]:
    path = folder / name
    path.write_bytes(content)
    return {"media_id": name, "path": str(path), "kind": kind, "sha256": sha256(content).hexdigest(), **more}


@pytest.fixture
def media(tmp_path: Path) -> list[dict[str, Any]]:
    shown = {
        "a1.png": (picture("red"), " a "),
        "a2.png": (picture("red"), "a"),
        "b.png": (picture("blue"), "b"),
        "tiny.png": (picture("blue", (1, 1)), "b"),
        "text.png": (b"no picture", "c"),
        "nobody's.png": (picture("red"), None),
    }
    rows = [landed(tmp_path, name, content, "image", item_id=item) for name, (content, item) in shown.items()]
    heard = {"call.wav": recording(), "loud.wav": recording(3.0), "still.wav": recording(0.0)}
    calls = [landed(tmp_path, name, content, "audio", user_id="u") for name, content in heard.items()]
    later = landed(tmp_path, "later.wav", recording(), "audio", modified_at=AS_OF + timedelta(hours=1))
    return [*rows, *calls, later]


def test_items_pictures_are_vectors_or_set_aside(spark: SparkSession, media: list[dict[str, Any]]) -> None:
    frame = item_pictures(frame_of(spark, MEDIA, media), as_of=AS_OF, zone=ZONE)
    assert frame.dtypes == [(column.name, column.type) for column in PICTURES.columns]
    rows = {row[0]: row[1:] for row in rows_of(frame, "media_id", "item_id", "set_aside", "embedding", "encoder")}
    assert {name: row[:2] for name, row in rows.items()} == {
        "a1.png": ("a", None),
        "a2.png": ("a", None),
        "b.png": ("b", None),
        "tiny.png": ("b", "is 1 by 1 pixels"),
        "text.png": ("c", "cannot be decoded: UnidentifiedImageError"),
    }
    assert rows["a1.png"][2] == rows["a2.png"][2] != rows["b.png"][2]
    assert np.linalg.norm(rows["b.png"][2]) == pytest.approx(1, abs=1e-4)
    assert not any(rows["tiny.png"][2])
    assert {row[3] for row in rows.values()} == {"descriptors/1"}


def test_calls_are_heard_or_set_aside_once_they_are_known(spark: SparkSession, media: list[dict[str, Any]]) -> None:
    moments = (AS_OF, AS_OF + timedelta(days=1))
    frame = call_sounds(frame_of(spark, MEDIA, media), as_of=moments, zone=ZONE)
    assert frame.dtypes == [(column.name, column.type) for column in SOUNDS.columns]
    rows = rows_of(frame, "as_of", "media_id", "user_id", "seconds", "is_clipped", "set_aside", "log_mel", "cepstrum")
    now = {row[1]: row[2:] for row in rows if row[0] == rows[0][0]}
    assert {name: row[:4] for name, row in now.items()} == {
        "call.wav": ("u", 0.5, False, None),
        "loud.wav": ("u", 0.5, True, None),
        "still.wav": ("u", 0.5, False, "is silent"),
    }
    assert [len(numbers) for numbers in now["call.wav"][4:]] == [48 * 40, 40]
    assert now["still.wav"][4:] == ([], [])
    assert len(rows) == 3 + 4


def test_a_file_that_was_swapped_or_is_gone_is_not_read(spark: SparkSession, media: list[dict[str, Any]]) -> None:
    paths = {row["media_id"]: Path(row["path"]) for row in media}
    paths["a1.png"].unlink()
    paths["a1.png"].symlink_to(paths["b.png"])
    paths["a2.png"].unlink()
    frame = item_pictures(frame_of(spark, MEDIA, media), as_of=AS_OF, zone=ZONE)
    reasons = dict(rows_of(frame, "media_id", "set_aside"))
    assert reasons["a1.png"] == "is another file than landed"
    assert reasons["a2.png"] == "cannot be read: FileNotFoundError"
    assert reasons["b.png"] is None


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    row = landed(tmp_path, "b.png", b"123456789", "image")
    assert stored(row["path"], row["sha256"], most_bytes=8) == (b"", "has more than 8 bytes")
    assert stored(row["path"], row["sha256"], most_bytes=9) == (b"123456789", "")
