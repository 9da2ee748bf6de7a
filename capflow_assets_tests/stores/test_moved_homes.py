"""A home that was copied, moved or linked works and never reaches into another; `doctor --mend` mends an old one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from capflow_assets.errors import BrokenModelError
from capflow_assets.stores.model_files import LARGEST_BYTES, ModelFiles
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.old_models import as_the_first_release

MODEL = "rfm_segments"
SCORE = f"predictions/{MODEL},health/{MODEL}"


@pytest.fixture(scope="module")
def old(acme, tmp_path_factory) -> TestHome:
    """``acme`` as the first release kept its models. Do not change it."""
    home = acme.copied(tmp_path_factory.mktemp("old") / "home")
    as_the_first_release(acme, home, "acme")
    return home


@pytest.fixture(params=["new", "old"])
def original(request, acme, old, tmp_path) -> TestHome:
    """A home of one's own to copy or move, of this release or of the first."""
    # The first release's addresses say where it was made, so only copies of that place are used.
    return acme.copied(tmp_path / "original") if request.param == "new" else old


def everything(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def champion(home: TestHome) -> int:
    return home.status("acme")[MODEL]["champion"]


def doctor(home: TestHome, *more: str) -> dict[str, list[dict[str, str]]]:
    rows = json.loads(home.capflow("doctor", "--format", "json", *more).out)
    by_check: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_check.setdefault(row["check"], []).append(row)
    return by_check


def test_a_copy_works_and_the_original_is_untouched(original, tmp_path):
    before = everything(original.root)
    copy = original.copied(tmp_path / "copy" / "home")
    first = champion(copy)
    assert copy.status("acme")[MODEL]["answers"] == first
    assert str(copy.root) in copy.report("acme", MODEL)["artifacts"]
    copy.ok("report", "acme", "-o", str(tmp_path / "page.html"))
    copy.ok("run", "acme", "--select", f"models/{MODEL},{SCORE}")
    newest = max(row["model_version"] for row in copy.rows(f"predictions/{MODEL}", "acme"))
    assert newest == champion(copy)
    copy.ok("promote", "acme", MODEL, "--version", str(first))
    copy.ok("promote", "acme", MODEL, "--version", str(first + 1))
    assert f"version {first} " in copy.ok("rollback", "acme", MODEL)
    copy.ok("run", "acme", "--select", SCORE)
    assert {row["model_version"] for row in copy.rows(f"predictions/{MODEL}", "acme")} == {first}
    user = copy.rows("features/rfm", "acme")[0]["user_id"]
    assert "forgot" in copy.ok("forget", "acme", user, "--yes")
    said = copy.ok("retire", "acme", "--yes")
    assert not (copy.root / "lake" / "acme").exists()
    assert everything(original.root) == before, "nothing of the original was written or deleted"
    assert ("not touched" in said) == ("file://" in said)
    assert original.status("acme")[MODEL]["answers"] == first


def test_a_moved_home_works(original, tmp_path):
    home = original.copied(tmp_path / "before")
    home.root.rename(tmp_path / "after")
    moved = TestHome(tmp_path / "after")
    first = champion(moved)
    moved.ok("run", "acme", "--select", SCORE)
    assert {row["model_version"] for row in moved.rows(f"predictions/{MODEL}", "acme")} == {first}
    assert not (tmp_path / "before").exists()


def test_a_home_behind_a_link_works(acme_copy, tmp_path):
    (tmp_path / "link").symlink_to(acme_copy.root)
    home = TestHome(tmp_path / "link")
    home.ok("run", "acme", "--select", SCORE)
    assert home.status("acme")[MODEL]["answers"] == champion(home)
    home.ok("retire", "acme", "--yes")
    assert not (acme_copy.root / "lake" / "acme").exists()


def test_a_link_below_the_lake_is_followed_by_nobody(acme, acme_copy, tmp_path):
    """A copy that kept links, or a customer who made one, does not reach another home."""
    theirs = tmp_path / "theirs"
    shutil.copytree(acme.root / "lake" / "acme", theirs)
    before = everything(theirs)
    prefix = acme_copy.root / "lake" / "acme"
    shutil.rmtree(prefix / "mlflow")
    (prefix / "mlflow").symlink_to(theirs / "mlflow")
    assert "symbolic link" in acme_copy.status("acme")[MODEL]["broken"]
    said = acme_copy.capflow("run", "acme", "--select", f"models/{MODEL}")
    assert said.code == 1
    assert everything(theirs) == before
    shutil.rmtree(acme_copy.root / "lake" / "acme", ignore_errors=True)
    (acme_copy.root / "lake" / "acme").symlink_to(theirs)
    out = acme_copy.ok("retire", "acme", "--yes")
    assert str(theirs) in out
    assert not prefix.is_symlink()
    assert everything(theirs) == before


@pytest.mark.parametrize("path", ["../x", "acme/../../x", "/etc/passwd", "acme//x", "acme/./x", "", "acme/.hidden"])
def test_no_path_leads_out_of_the_lake(tmp_path, path):
    with pytest.raises(Exception, match="no path below the lake"):
        ModelFiles(str(tmp_path)).read(path)


def test_a_file_that_is_a_link_is_not_read(tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "lake" / "a").symlink_to(tmp_path / "secret")
    with pytest.raises(BrokenModelError, match="symbolic link"):
        ModelFiles(str(tmp_path / "lake")).read("a")


def test_a_pipe_and_a_file_without_end_are_not_read(tmp_path):
    files = ModelFiles(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BrokenModelError, match="no file"):
        files.read("pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(BrokenModelError, match="larger than any"):
        files.read("large")


def test_the_doctor_says_what_is_wrong_with_an_old_copy_and_mends_it(old, tmp_path):
    copy = old.copied(tmp_path / "home")
    lake = everything(copy.root / "lake")
    by_check = doctor(copy)
    for check in ("models.places", "models.digests"):
        [row] = by_check[check]
        assert (row["state"], row["to_do"]) == ("warning", "capflow doctor --mend"), row
    assert str(old.root) in by_check["models.places"][0]["found"]
    mended = doctor(copy, "--mend")
    assert {row["state"] for check in ("models.places", "models.digests") for row in mended[check]} == {"mended"}
    again = doctor(copy)
    assert {row["state"] for name, rows in again.items() for row in rows if name.startswith("models.")} == {"ok"}
    with contextlib.closing(sqlite3.connect(copy.root / "mlflow.db")) as database:
        kept = "\n".join(line for line in database.iterdump() if "Default" not in line)
    assert str(old.root) not in kept
    assert everything(copy.root / "lake") == lake
    copy.ok("run", "acme", "--select", SCORE)
    assert champion(copy) == champion(old)
    place = next((copy.root / "lake" / "acme" / "mlflow" / MODEL).rglob("model.skops"))
    for file in (copy.root / "lake" / "acme" / "mlflow" / MODEL).rglob("model.skops"):
        file.write_bytes(file.read_bytes() + b" ")
    assert place.exists()
    assert "not the one that was registered" in copy.status("acme")[MODEL]["broken"]


def test_mlflow_shows_the_files_of_whichever_home_it_runs_on(acme, acme_copy, monkeypatch, tmp_path):
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    from capflow_assets.stores.registry import Registry

    monkeypatch.setenv("CAPFLOW_HOME", str(acme_copy.root))
    registry = Registry(f"sqlite:///{acme_copy.root / 'mlflow.db'}", str(acme_copy.root / "lake"))
    version = registry.client.get_model_version(f"acme.{MODEL}", "1")
    files = get_artifact_repository(registry.client.get_run(version.run_id).info.artifact_uri)
    assert {file.path for file in files.list_artifacts()} == {"model", "report"}
    assert "report/report.json" in {file.path for file in files.list_artifacts("report")}
    assert json.loads(Path(files.download_artifacts("report/report.json")).read_text())["model"] == MODEL
    with pytest.raises(Exception, match="no path below"):
        files.list_artifacts("../../../../../customers")
    with pytest.raises(Exception, match="by CapFlow alone"):
        files.log_artifact(str(tmp_path))
    files.delete_artifacts()
    assert not (Path(registry.artifacts("acme", MODEL, 1)) / "report").exists()
    assert (acme.root / "lake" / "acme" / "mlflow" / MODEL).exists()
