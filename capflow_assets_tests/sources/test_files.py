"""Files that are no tables: real pictures and recordings, broken ones, links that lead away, a bucket."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tracemalloc
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.raw.media import TABLE
from capflow_assets.sources import files
from capflow_assets.sources.files import Options, media, open_bytes

DATA = Path(__file__).parents[3] / "shared" / "data"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)


def options(**given: Any) -> Options:
    return Options.model_validate(given)


def wav(seconds: float = 0.01) -> bytes:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * int(8000 * seconds))
    return sink.getvalue()


def by_path(data: Any, *columns: str) -> dict[str, Any]:
    rows = data.select("relative_path", *columns).collect()
    by_file = {row[0]: row[1] if len(columns) == 1 else tuple(row)[1:] for row in rows}
    assert len(by_file) == len(rows)
    return by_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A customer's folder: good files, broken ones, and links."""
    here = tmp_path / "shop"
    contents = {
        "items/100.png": PNG,
        "items/200.PNG": PNG,
        "items/größe 5 [neu].png": PNG,
        "voice/u-7.wav": wav(),
        "notes/100.md": b"# Apple\nSweet.",
        "notes/utf16.txt": "süß".encode("utf-16"),
        "notes/data.json": b'{"a": 1}',
        "notes/manual.pdf": b"%PDF-1.7\n%\xe2\xe3",
        "notes/unknown.bin": bytes(range(256)),
        "icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "bad/empty.png": b"",
        "bad/page.jpg": b"<html><body>404 Not Found</body></html>",
        "bad/cut.png": PNG[:-12],
        "bad/cut.wav": wav()[:-40],
        "bad/noise.png": bytes(range(256)),
        ".hidden.png": PNG,
        ".git/config": b"x",
        "_SUCCESS": b"",
    }
    for name, content in contents.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)
    return here


def test_what_the_files_are(spark: Any, folder: Path) -> None:
    data = files.read(spark, str(folder), options())
    assert data.dtypes == [
        ("path", "string"),
        ("relative_path", "string"),
        ("name", "string"),
        ("kind", "string"),
        ("media_type", "string"),
        ("size_bytes", "bigint"),
        ("sha256", "string"),
        ("modified_at", "timestamp"),
        ("_corrupt_record", "string"),
        ("_position", "string"),
    ]
    assert by_path(data, "kind", "media_type", "_corrupt_record") == {
        "items/100.png": ("image", "image/png", None),
        "items/200.PNG": ("image", "image/png", None),
        "items/größe 5 [neu].png": ("image", "image/png", None),
        "voice/u-7.wav": ("audio", "audio/wav", None),
        "notes/100.md": ("text", "text/markdown", None),
        "notes/utf16.txt": ("text", "text/plain", None),
        "notes/data.json": ("text", "application/json", None),
        "notes/manual.pdf": ("other", "application/pdf", None),
        "notes/unknown.bin": ("other", "application/octet-stream", None),
        "icon.svg": ("image", "image/svg+xml", None),
        "bad/empty.png": ("image", "image/png", "is empty"),
        "bad/page.jpg": ("text", "text/plain", "is named as image/jpeg and holds text/plain"),
        "bad/cut.png": ("image", "image/png", "is cut short: its end is missing"),
        "bad/cut.wav": ("audio", "audio/wav", "is cut short: 164 of 204 bytes"),
        "bad/noise.png": (
            "other",
            "application/octet-stream",
            "is named as image/png and holds application/octet-stream",
        ),
    }


def test_hash_size_and_time(spark: Any, folder: Path) -> None:
    os.utime(folder / "items" / "100.png", ns=(0, 1_700_000_000_123_456_000))
    data = files.read(spark, str(folder / "items"), options())
    rows = by_path(data, "path", "name", "size_bytes", "sha256", "_position")
    path = str(folder / "items" / "100.png")
    assert rows["100.png"] == (path, "100.png", len(PNG), hashlib.sha256(PNG).hexdigest(), "100.png")
    micros = data.where("name = '100.png'").selectExpr("unix_micros(modified_at)").collect()[0][0]
    assert micros == 1_700_000_000_123_456


def test_links_by_name(spark: Any, folder: Path) -> None:
    link = r"(?:items/(?P<item_id>[^/]+)\.(?i:png)|voice/(?P<user_id>[^/.]+)\.wav)$"
    data = files.read(spark, str(folder), options(link=link, kinds=("image", "audio")))
    ids = by_path(data.where("_corrupt_record is null"), "item_id", "user_id")
    assert ids == {
        "items/100.png": ("100", None),
        "items/200.PNG": ("200", None),
        "items/größe 5 [neu].png": ("größe 5 [neu]", None),
        "voice/u-7.wav": (None, "u-7"),
        "icon.svg": (None, None),
    }


def test_a_manifest(spark: Any, folder: Path) -> None:
    lines = ["file,item_id,kind", "/items/100.png,A,front", "items\\200.PNG,B,", "items/100.png,C,", "gone.png,D,"]
    (folder / "list.csv").write_text("\n".join([*lines, "too,many,values,here"]))
    data = files.read(spark, str(folder), options(manifest="list.csv", manifest_path="file"))
    rows = data.select("relative_path", "item_id", "kind", "kind_2", "_position", "_corrupt_record").collect()
    linked = {tuple(row) for row in rows if row["item_id"] is not None}
    lost = "the manifest names a file that is not there: "
    unfit = "; has 4 values, not 3: 'too,many,values,here'"
    assert linked == {
        ("items/100.png", "A", "image", "front", "items/100.png", None),
        ("items/100.png", "C", "image", None, "items/100.png", None),
        ("items/200.PNG", "B", "image", None, "items/200.PNG", None),
        (None, "D", None, None, "list.csv:5", lost + "gone.png"),
        (None, "many", None, "values", "list.csv:6", lost + "too" + unfit),
    }
    assert not [row for row in rows if row["relative_path"] == "list.csv"]
    assert len(rows) == 15 + 3
    with pytest.raises(SourceError, match=r"lacks its column of paths(.|\n)*'path'(.|\n)*'file', 'item_id', 'kind'"):
        files.read(spark, str(folder), options(manifest="list.csv"))
    (folder.parent / "other.csv").write_text("path,item_id\n")
    with pytest.raises(SourceError, match="not of this customer's folder"):
        files.read(spark, str(folder), options(manifest="../other.csv", manifest_path="file"))


def test_a_glob_and_a_file(spark: Any, folder: Path) -> None:
    assert by_path(files.read(spark, f"{folder}/*/100.*", options()), "kind") == {
        "items/100.png": "image",
        "notes/100.md": "text",
    }
    one = files.read(spark, str(folder / "voice" / "u-7.wav"), options(link="(?P<user_id>.+)[.]wav"))
    assert by_path(one, "kind", "user_id") == {"u-7.wav": ("audio", "u-7")}


def test_links_that_leave_the_folder(spark: Any, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.png").write_bytes(PNG)
    (folder / "stolen.png").symlink_to(other / "secret.png")
    (folder / "all").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    (folder / "same.png").symlink_to(folder / "items" / "100.png")
    rows = by_path(files.read(spark, str(folder), options()), "sha256", "_corrupt_record")
    refused = "is or goes through a link that leaves the folder"
    assert rows["stolen.png"] == rows["all"] == (None, refused)
    assert rows["same.png"] == (hashlib.sha256(PNG).hexdigest(), None)
    assert rows["lost.png"][0] is None
    assert rows["lost.png"][1].startswith("cannot be read: ")
    assert rows["loop"][1].startswith("cannot be read: ")
    assert not [path for path in rows if "secret" in path or path.startswith("loop/")]
    for path in ("stolen.png", "all/secret.png", "../other/secret.png", str(other / "secret.png")):
        with pytest.raises(SourceError, match="not of this customer's folder"):
            open_bytes(str(folder), path)


def test_a_folder_that_is_a_link_itself(spark: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    data = files.read(spark, str(tmp_path / "current"), options())
    assert data.where("sha256 is not null").count() == 14


def test_a_file_that_may_not_be_read(spark: Any, folder: Path) -> None:
    gone = str(folder / "gone.png")
    row = files.row_of((gone, 0, 5, gone), str(folder), options())
    assert row["_corrupt_record"].startswith("cannot be read: ")
    assert (row["kind"], row["size_bytes"], row.get("sha256")) == ("image", 5, None)


def test_bytes_where_they_are_wanted(spark: Any, folder: Path) -> None:
    row = files.read(spark, str(folder / "items"), options()).where("name = '100.png'").collect()[0]
    assert open_bytes(str(folder / "items"), row["path"]) == PNG
    assert open_bytes(str(folder / "items"), row["relative_path"]) == PNG
    assert open_bytes(f"{folder}/*/*.png", "items/100.png") == PNG
    with pytest.raises(SourceError, match=f"too large(.|\n)*at most 10 bytes(.|\n)*{len(PNG)} bytes"):
        open_bytes(str(folder), "items/100.png", most_bytes=10)
    with pytest.raises(SourceError, match="cannot be read"):
        open_bytes(str(folder), "items/gone.png")


def test_a_large_file_in_little_memory(tmp_path: Path) -> None:
    """A file of 200 MB is inspected within a few megabytes."""
    path = tmp_path / "film.bin"
    with path.open("wb") as sink:
        sink.truncate(200_000_000)
    tracemalloc.start()
    with path.open("rb") as stream:
        content = media.content_of(path.name, stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert content.size_bytes == 200_000_000
    assert peak < 8 << 20


def test_many_files_in_several_parts(spark: Any, tmp_path: Path) -> None:
    for place in range(files.FILES_PER_PART * 3 + 1):
        (tmp_path / f"{place}.txt").write_text(str(place))
    data = files.read(spark, str(tmp_path), options(link=r"(?P<item_id>\d+)"))
    assert data.count() == files.FILES_PER_PART * 3 + 1
    assert data.where("concat(item_id, '.txt') = name").count() == data.count()


def test_nothing_there(spark: Any, tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("x")
    for location in (str(tmp_path), f"{tmp_path}/*.png"):
        with pytest.raises(SourceError, match="There are no files"):
            files.read(spark, location, options())
    with pytest.raises(SourceError, match=r"There are no files|cannot be listed"):
        files.read(spark, str(tmp_path / "none"), options())


def test_a_link_that_takes_years_is_refused(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LINK_SECONDS", 0.5)
    (tmp_path / f"{'a' * 60}!.txt").write_text("x")
    with pytest.raises(SourceError, match="takes too long"):
        files.read(spark, str(tmp_path), options(link=r"^(?P<item_id>(a|aa)+)$"))


@pytest.mark.parametrize("link", ["(", "no group", "(unnamed)", "(?P<sha256>x)", "(?P<path>x)"])
def test_a_link_that_links_nothing(link: str) -> None:
    with pytest.raises(ValidationError):
        options(link=link)


def test_it_fits_the_raw_table(spark: Any, folder: Path) -> None:
    from capflow_assets.landing.canonical_rows import conform
    from capflow_assets_doubles.landings import split

    data = files.read(spark, str(folder), options(link=r"items/(?P<item_id>[^/]+)\.png$"))
    same = ("path", "kind", "media_type", "size_bytes", "sha256", "item_id", "modified_at")
    mapping = {"media_id": "relative_path"} | dict(zip(same, same, strict=True))
    good, bad = split(conform(data, TABLE, mapping, zone="UTC"))
    assert good.count() == 10
    assert bad.count() == 5
    row = good.where("media_id = 'items/100.png'").collect()[0]
    assert (row["kind"], row["size_bytes"], row["item_id"]) == ("image", len(PNG), "100")


def test_what_texts_say(spark: Any, tmp_path: Path) -> None:
    here = tmp_path / "reviews"
    here.mkdir()
    said = {
        "r1.txt": "Süß, crisp.\n".encode(),
        "r2.txt": "\ufeffSour".encode(),
        "r3.txt": "Größer".encode("utf-16"),
        "r4.txt": "Süß".encode("latin-1"),
        "r5.txt": b"a" * (1 << 20) + b"b",
        "r6.png": PNG,
    }
    for name, content in said.items():
        (here / name).write_bytes(content)
    texts = by_path(files.read(spark, str(here), options(contents=True)), "content", "_corrupt_record")
    assert {name: texts[name][0] for name in texts} == {
        **dict.fromkeys(said),
        "r1.txt": "Süß, crisp.\n",
        "r2.txt": "Sour",
        "r3.txt": "Größer",
    }
    assert texts["r4.txt"][1] == "is no text in UTF-8: invalid start byte"
    assert texts["r5.txt"][1] == "is a text of 1,048,577 bytes, more than 1,048,576"
    assert texts["r6.png"][1] is None
    assert "content" not in files.read(spark, str(here), options()).columns


def test_the_same_on_a_jvm(spark: Any, jvm: Any, folder: Path) -> None:
    (folder / "list.csv").write_text("path,item_id\nitems/100.png,A\ngone.png,B\n")
    settings = options(manifest="list.csv", link="(?P<number>[0-9]+)")
    one, other = (files.read(session, str(folder), settings) for session in (spark, jvm))
    assert one.dtypes == other.dtypes
    order = ("relative_path", "item_id")
    assert one.orderBy(*order).collect() == other.orderBy(*order).collect()


@pytest.fixture(scope="module")
def grocery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = next(iter(sorted((DATA / "images_grocery").glob("*.tar"))), None)
    if archive is None:
        pytest.skip("the grocery pictures are not there")
    here = tmp_path_factory.mktemp("grocery")
    with tarfile.open(archive) as packed:
        packed.extractall(here, filter="data")
    return here / "dataset"


def test_grocery_pictures(spark: Any, grocery: Path) -> None:
    """Every item of the data set's own list has its picture and its text."""
    settings = options(manifest="classes.csv", manifest_path="Iconic Image Path (str)", kinds=("image",))
    data = files.read(spark, str(grocery), settings)
    linked = data.where("`Class Name (str)` is not null")
    assert data.where("_corrupt_record is not null").count() == 0
    assert (data.count(), linked.count(), linked.select("sha256").distinct().count()) == (377, 81, 81)
    assert linked.where("position(`Class Name (str)` in relative_path) > 0").count() == 81
    link = r"(?P<item_id>[^/]+)_(?:Iconic\.jpg|Description\.txt)$"
    kinds = files.read(spark, str(grocery), options(link=link)).where("item_id is not null").groupBy("kind").count()
    assert {row[0]: row[1] for row in kinds.collect()} == {"image": 81, "text": 81}


def test_spoken_digits(spark: Any, tmp_path: Path) -> None:
    archive = next(iter(sorted((DATA / "audio_fsdd").glob("*.tar.gz"))), None)
    if archive is None:
        pytest.skip("the spoken digits are not there")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    link = r"recordings/(?P<digit>\d)_(?P<user_id>[a-z]+)_(?P<take>\d+)\.wav$"
    data = files.read(spark, str(tmp_path), options(link=link, kinds=("audio",)))
    assert data.count() == 600
    assert data.where("_corrupt_record is not null or media_type <> 'audio/wav'").count() == 0
    assert data.select("user_id").distinct().count() == 6


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=address, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket="media", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key, content in {
        "in/items/a b.png": PNG,
        "in/voice/u-1.wav": wav(),
        "in/bad.png": b"",
        "in/.hidden.png": PNG,
        "in/list.csv": b"path,item_id\nitems/a b.png,7\n",
        "inside/other.png": PNG,
    }.items():
        client.put_object(Bucket="media", Key=key, Body=content)
    yield {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "eu-west-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server.stop()


def test_a_bucket(spark: Any, bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    data = files.read(spark, "s3://media/in", options(link=r"voice/(?P<user_id>[^.]+)"))
    assert by_path(data, "path", "kind", "size_bytes", "user_id", "_corrupt_record") == {
        "items/a b.png": ("s3://media/in/items/a b.png", "image", len(PNG), None, None),
        "voice/u-1.wav": ("s3://media/in/voice/u-1.wav", "audio", len(wav()), "u-1", None),
        "bad.png": ("s3://media/in/bad.png", "image", 0, None, "is empty"),
        "list.csv": ("s3://media/in/list.csv", "text", 29, None, None),
    }
    assert data.where("modified_at > timestamp'2020-01-01'").count() == 4
    one = files.read(spark, "s3://media/in/items/*.png", options())
    assert by_path(one, "sha256") == {"a b.png": hashlib.sha256(PNG).hexdigest()}
    assert open_bytes("s3://media/in", "items/a b.png") == PNG
    for path in ("../inside/other.png", "s3://media/inside/other.png", "s3://else/in/a.png"):
        with pytest.raises(SourceError, match="not of this customer's folder"):
            open_bytes("s3://media/in", path)
    with pytest.raises(SourceError, match="cannot be read"):
        open_bytes("s3://media/in", "none.png")
    with pytest.raises(SourceError, match=r"There are no files|cannot be listed"):
        files.read(spark, "s3://nobody/in", options())
