"""Files on a real SFTP server."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.delivery.sftp import DESTINATION, Options
from capflow_assets.errors import DeliveryError
from capflow_assets_doubles.sftp_server import Server, sftp_server
from capflow_assets_tests.delivery.deliveries import NIGHT, batches_of, delivery_of, rows_of

NIGHTLY = delivery_of()
ROWS = rows_of(NIGHTLY, ["ann", "bob", "=cmd()", "-1+2", "eve"])
FOLDER = f"in/boots/churn/20260301T000000000000Z-{NIGHTLY.id[:16]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("sftp") / "root"
    folder.mkdir()
    with sftp_server(folder) as server:
        yield server, folder


@pytest.fixture
def options(server: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    monkeypatch.setenv("BOOTS_SFTP", "planted password")
    monkeypatch.setenv("BOOTS_SFTP_KEY", server[0].private_key)

    def options(login: dict[str, Any] | None = None, **more: Any) -> Options:
        given = {
            "host": "127.0.0.1", "port": server[0].port, "host_keys": [server[0].host_key], "user": "boots",
            "password": {"env": "BOOTS_SFTP"}, "timeout_seconds": 10,
        }  # fmt: skip
        folder = f"{tmp_path.name}/in"
        return Options.model_validate({"folder": folder, "rows_per_file": 2, "login": given | (login or {})} | more)

    return options


@pytest.fixture
def arrived(server: tuple[Server, Path], tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """The files on the server's disk."""
    root = server[1] / tmp_path.name

    def arrived() -> dict[str, bytes]:
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
        }

    return arrived


def test_rows_arrive_in_files_that_a_spreadsheet_may_open_and_the_manifest_names(options: Any, arrived: Any) -> None:
    sent = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS, at_once=3))
    files = arrived()
    assert list(files) == [f"{FOLDER}/manifest.json", *(f"{FOLDER}/part-0000{number}.csv" for number in range(3))]
    manifest = json.loads(files.pop(f"{FOLDER}/manifest.json"))
    assert [(part["rows"], part["bytes"]) for part in manifest["parts"]] == [
        (rows, len(content)) for rows, content in zip([2, 2, 1], files.values(), strict=True)
    ]
    rows = [row for content in files.values() for row in csv.DictReader(content.decode().splitlines())]
    assert [row["user"] for row in rows] == ["ann", "bob", "'=cmd()", "'-1+2", "eve"]
    assert rows[0] == {
        "user": "ann", "score": "0.5", "reasons": "no visit, 40 days", "items": '["i1","i2"]',
        "as_of": "2026-03-01T00:00:00Z",
    }  # fmt: skip
    held = DESTINATION.held(options(), NIGHTLY)
    assert held is not None
    assert (held.rows, held.checksum, DESTINATION.newest(options(), NIGHTLY)) == (5, sent.checksum, NIGHT)


def killed_after(count: int) -> Iterator[Any]:
    yield from list(batches_of(ROWS))[:count]
    raise KeyboardInterrupt


def test_a_killed_delivery_is_not_held_goes_on_and_twice_changes_nothing(
    options: Any, arrived: Any, server: tuple[Server, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        DESTINATION.send(options(), NIGHTLY, killed_after(2))
    for name in ("part-00001.csv.part", "part-00001.csv.0a1b2c3d.part", "part-00009.csv"):
        (server[1] / tmp_path.name / FOLDER / name).write_bytes(b"half")
    assert DESTINATION.held(options(), NIGHTLY) is None
    assert f"{FOLDER}/manifest.json" not in arrived()
    first = DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    before = arrived()
    assert DESTINATION.send(options(), NIGHTLY, batches_of(ROWS)) == first
    assert arrived() == before
    assert len(before) == 4


def test_a_file_that_is_lost_or_cut_off_is_noticed_and_brought_again(
    options: Any, arrived: Any, server: tuple[Server, Path], tmp_path: Path
) -> None:
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    part = server[1] / tmp_path.name / FOLDER / "part-00001.csv"
    part.write_bytes(part.read_bytes()[:-1])
    assert DESTINATION.held(options(), NIGHTLY) is None
    DESTINATION.send(options(), NIGHTLY, batches_of(ROWS))
    assert DESTINATION.held(options(), NIGHTLY).rows == 5


def test_withdrawal_takes_back_this_delivery_and_no_other(options: Any, arrived: Any) -> None:
    other = delivery_of(1)
    for delivery in (NIGHTLY, other):
        DESTINATION.send(options(format="parquet"), delivery, batches_of(rows_of(delivery)))
    assert DESTINATION.withdraw(options(), NIGHTLY).rows == 3
    assert DESTINATION.withdraw(options(), NIGHTLY).rows == 0
    assert {name.split("/")[3] for name in arrived()} == {f"20260302T000000000000Z-{other.id[:16]}"}


def test_a_user_comes_in_with_a_key(options: Any) -> None:
    by_key = {"password": None, "private_key": {"env": "BOOTS_SFTP_KEY"}}
    assert DESTINATION.send(options(by_key), NIGHTLY, batches_of(ROWS)).rows == 5


def test_a_server_with_another_key_is_sent_nothing(options: Any, arrived: Any) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    with pytest.raises(DeliveryError, match="does not have the key that it should have"):
        DESTINATION.send(options({"host_keys": [other]}), NIGHTLY, batches_of(ROWS))
    assert arrived() == {}
    with pytest.raises(ValueError, match="host_keys"):
        options({"host_keys": []})
    with pytest.raises(ValueError, match="host_keys"):  # with the name before it, as ssh-keyscan has it
        options({"host_keys": [f"files.example.com {other}"]})
    assert options({"host_keys": [f"{other} root@files"]}).login.host_keys


def test_wrong_credentials_and_a_server_that_is_down_are_said(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTS_SFTP", "another password")
    with pytest.raises(DeliveryError, match="does not accept the credentials") as raised:
        DESTINATION.newest(options(), NIGHTLY)
    assert "another password" not in str(raised.value)
    with pytest.raises(DeliveryError, match="cannot be used"):
        DESTINATION.newest(options({"port": 1}), NIGHTLY)
