"""Whoever may write a customer's prefix runs nothing; and with a broken champion the last good version answers."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.old_models import as_the_first_release

MODEL = "rfm_segments"
SCORE = f"predictions/{MODEL},health/{MODEL}"
MARKER = "run-by-an-attacker"


@pytest.fixture(scope="module")
def twice(acme, tmp_path_factory) -> TestHome:
    """``acme`` with two versions of the segments, of which the second is champion. Do not change it."""
    home = acme.copied(tmp_path_factory.mktemp("twice") / "home")
    home.ok("run", "acme", "--select", f"models/{MODEL}")
    if home.status("acme")[MODEL]["champion"] != 2:
        home.ok("promote", "acme", MODEL, "--version", "2")
    return home


@pytest.fixture
def home(twice, tmp_path) -> TestHome:
    return twice.copied(tmp_path / "home")


def folder(home: TestHome, version: int) -> Path:
    return Path(home.artifacts(MODEL, version))


class Planted:
    """A pickle that leaves a mark where it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


def planted(folder: Path, marker: Path) -> None:
    """Everything that MLflow would run: a pickle, an MLmodel that names it, code, a loader module, an environment."""
    model = folder / "model"
    (model / "model.skops").write_bytes(pickle.dumps(Planted(marker)))
    (model / "model.pkl").write_bytes(pickle.dumps(Planted(marker)))
    (model / "code").mkdir()
    (model / "code" / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')")
    (model / "code" / "planted.py").write_text(f"open({str(marker)!r}, 'w')")
    (model / "python_env.yaml").write_text("python: 3.11\nbuild_dependencies: [planted]\n")
    flavours = {
        "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "code": "code"},
        "python_function": {"loader_module": "planted", "code": "code", "env": "python_env.yaml"},
    }
    (model / "MLmodel").write_text(json.dumps({"flavors": flavours, "artifact_path": "model"}))


def retrusted(folder: Path, marker: Path) -> None:
    """Another estimator, that names other types, with a list of trusted types beside it."""
    import functools

    import skops.io

    content = skops.io.dumps(functools.partial(os.system, f"touch '{marker}'"))
    (folder / "model" / "model.skops").write_bytes(content)
    trusted = {"sklearn": {"skops_trusted_types": ["functools.partial", "posix.system"]}}
    (folder / "model" / "MLmodel").write_text(json.dumps({"flavors": trusted}))


def truncated(folder: Path, marker: Path) -> None:
    file = folder / "model" / "model.skops"
    file.write_bytes(file.read_bytes()[:-100])


def garbled(folder: Path, marker: Path) -> None:
    file = folder / "model" / "model.skops"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def missing(folder: Path, marker: Path) -> None:
    shutil.rmtree(folder)


def empty(folder: Path, marker: Path) -> None:
    (folder / "model" / "model.skops").write_bytes(b"")


def a_link(folder: Path, marker: Path) -> None:
    file = folder / "model" / "model.skops"
    shutil.copy(file, marker.parent / "elsewhere")
    file.unlink()
    file.symlink_to(marker.parent / "elsewhere")


def a_folder(folder: Path, marker: Path) -> None:
    (folder / "model" / "model.skops").unlink()
    (folder / "model" / "model.skops").mkdir()


def another_version(folder: Path, marker: Path) -> None:
    [other] = [file for file in folder.parents[1].glob("*/artifacts/model/model.skops") if folder not in file.parents]
    shutil.copy(other, folder / "model" / "model.skops")


def another_report(folder: Path, marker: Path) -> None:
    file = folder / "report" / "report.json"
    file.write_text(file.read_text().replace('"as_of": "2', '"as_of": "1'))


def another_reference(folder: Path, marker: Path) -> None:
    (folder / "report" / "reference.json").write_text("{}")


ATTACKS = (
    planted,
    retrusted,
    truncated,
    garbled,
    missing,
    empty,
    a_link,
    a_folder,
    another_version,
    another_report,
    another_reference,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_champion_that_was_tampered_with_is_not_loaded_and_status_says_who_answers(home, tmp_path, attack):
    marker = tmp_path / MARKER
    attack(folder(home, 2), marker)
    row = home.status("acme")[MODEL]
    assert (row["status"], row["champion"], row["answers"]) == ("broken champion", 2, 1), row
    assert row["readiness"] == "at risk"
    assert "version 1 answers in its place" in row["broken"]
    assert "capflow run acme" in row["broken"]
    assert "BadZipFile" not in row["broken"].replace("zipfile.", "")
    registry_says(home, attack, marker)
    assert not marker.exists()


def registry_says(home: TestHome, attack: Callable[[Path, Path], None], marker: Path) -> None:
    """Loading it says in its own words what is wrong, whoever asks."""
    from capflow_assets.definitions import STAGES
    from capflow_assets.errors import BrokenModelError
    from capflow_assets.stores.registry import Registry
    from capflow_assets.stores.saved_estimators import types_of

    registry = Registry(f"sqlite:///{home.root / 'mlflow.db'}", str(home.root / "lake"))

    def load() -> None:
        registry.load("acme", MODEL, 2, types_of(STAGES.model(MODEL).model))
        registry.report("acme", MODEL, 2)
        registry.file("acme", MODEL, 2, "reference.json")

    with pytest.raises(BrokenModelError, match=rf"Version 2 of acme\.{MODEL} cannot be used"):
        load()


def test_files_beside_those_that_were_registered_are_nobodys(home, tmp_path):
    marker, place = tmp_path / MARKER, folder(home, 2)
    kept = (place / "model" / "model.skops").read_bytes()
    planted(place, marker)
    (place / "model" / "model.skops").write_bytes(kept)
    assert home.status("acme")[MODEL]["answers"] == 2
    home.ok("run", "acme", "--select", SCORE)
    assert not marker.exists()


def test_the_last_good_version_scores_and_training_goes_on(home, tmp_path):
    planted(folder(home, 2), tmp_path / MARKER)
    home.ok("run", "acme", "--select", SCORE)
    assert {row["model_version"] for row in home.rows(f"predictions/{MODEL}", "acme")} == {1}
    assert home.rows(f"health/{MODEL}", "acme")[-1]["model_version"] in (1, 2)
    screen = home.ok("status", "--customer", "acme", "--details")
    assert "version 1 answers in its place" in " ".join(screen.split())
    checks = json.loads(home.capflow("doctor", "--format", "json").out)
    [row] = [row for row in checks if row["check"] == "models.champions" and row["state"] == "warning"]
    assert "version 1 answers" in row["found"]
    assert "train again" in row["to_do"]
    assert "version 1 answers" in home.report("acme", MODEL)["warning"]
    home.ok("run", "acme", "--select", f"models/{MODEL},{SCORE}")
    report = home.report("acme", MODEL, 3)
    assert report["broken_champion"]["version"] == 2
    assert report["broken_champion"]["comparison"] == "not possible"
    assert report["champion"] is None
    if report["decision"]["action"] == "promote":
        assert "in the place of version 2" in report["decision"]["reason"]
        assert {row["model_version"] for row in home.rows(f"predictions/{MODEL}", "acme")} == {3}
        assert home.status("acme")[MODEL]["broken"] == ""
    assert not (tmp_path / MARKER).exists()


def test_a_champion_that_loads_and_cannot_score_stops_no_training(home):
    """As after a new release whose code wants an attribute that saved estimators do not have."""
    from capflow_assets.definitions import STAGES
    from capflow_assets.stores.registry import Registry
    from capflow_assets.stores.saved_estimators import dumps, types_of

    registry = Registry(f"sqlite:///{home.root / 'mlflow.db'}", str(home.root / "lake"))
    types = types_of(STAGES.model(MODEL).model)
    estimator = registry.load("acme", MODEL, 2, types)
    vars(estimator).clear()
    files = {"reference.json": registry.file("acme", MODEL, 2, "reference.json")}
    report = registry.report("acme", MODEL, 2)
    version = registry.register("acme", MODEL, dumps(estimator, types), report, files)
    registry.promote("acme", MODEL, version, "of another release")
    home.ok("run", "acme", "--select", f"models/{MODEL}")
    broken = home.report("acme", MODEL, version + 1)["broken_champion"]
    assert broken["version"] == version
    assert "cannot score: AttributeError" in broken["came"]


def test_where_nobody_can_answer_the_last_predictions_stay_and_training_goes_on(home, tmp_path):
    before = home.rows(f"predictions/{MODEL}", "acme")
    for version in (1, 2):
        truncated(folder(home, version), tmp_path / MARKER)
    row = home.status("acme")[MODEL]
    assert (row["answers"], row["readiness"]) == (None, "not ready")
    said = home.capflow("run", "acme", "--select", SCORE)
    assert said.code == 1
    assert "last good predictions stay" in " ".join((said.out + said.err).split())
    assert home.rows(f"predictions/{MODEL}", "acme") == before
    [row] = [r for r in json.loads(home.capflow("doctor", "--format", "json").out) if r["state"] == "broken"]
    assert "no version of acme.rfm_segments can answer" in row["found"]
    user = home.rows("features/rfm", "acme")[0]["user_id"]
    home.ok("forget", "acme", user, "--yes")
    home.ok("run", "acme", "--select", f"models/{MODEL}")
    assert home.status("acme")[MODEL]["answers"] in (3, None)


def test_an_old_version_without_a_digest_runs_nothing_either(acme, tmp_path):
    home = acme.copied(tmp_path / "home")
    as_the_first_release(acme, home, "acme")
    marker = tmp_path / MARKER
    hostile = tmp_path / "hostile" / "model"
    hostile.mkdir(parents=True)
    retrusted(hostile.parent, marker)
    for file in list((home.root / "lake" / "acme" / "mlflow" / MODEL).rglob("model.skops")):
        shutil.copytree(hostile, file.parent, dirs_exist_ok=True)
    row = home.status("acme")[MODEL]
    assert row["answers"] is None
    assert "types that" in row["broken"] or "functools.partial" in row["broken"]
    assert home.capflow("run", "acme", "--select", SCORE).code == 1
    checks = json.loads(home.capflow("doctor", "--mend", "--format", "json").out)
    [row] = [row for row in checks if row["check"] == "models.digests"]
    assert row["state"] == "broken"
    assert "refused" in row["found"]
    assert not marker.exists()


def test_two_customers_models_are_not_each_others(home, tmp_path):
    """The same model of another customer fits in every way but its digest."""
    theirs = tmp_path / "theirs"
    shutil.copytree(folder(home, 1), theirs)
    shutil.rmtree(folder(home, 2))
    shutil.copytree(theirs, folder(home, 2))
    assert "not the one that was registered" in home.status("acme")[MODEL]["broken"]
