"""What happens under a server: champions flip, users are forgotten, files break, MLflow is gone, a process dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from capflow_assets.learning.online.files import NAME
from capflow_assets.serving.publication import publish
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import AnswerStore
from capflow_assets.stores.model_files import MODEL
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.serving.homes import Answering, answering, long_valid

SCORE, LIST = "purchase_propensity", "next_basket"
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def served(acme: TestHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    home = acme.copied(tmp_path_factory.mktemp("faulty") / "home")
    long_valid(home, "acme")
    with answering(home) as one:
        yield one


def users(served: Answering) -> list[str]:
    rows = served.deployment.lake.arrow("acme", f"predictions/{SCORE}", columns=["user_id"])
    return sorted(rows.column("user_id").to_pylist())


def copied_version(served: Answering, version: int, files: tuple[str, ...] = (NAME,)) -> int:
    """The same estimator once more, as a version of its own, with the file for online answers that trainings write."""
    registry = served.deployment.registry
    content = registry.read("acme", SCORE, version, MODEL)
    report = registry.report("acme", SCORE, version)
    kept = {name: registry.file("acme", SCORE, version, name) for name in ("reference.json", *files)}
    return registry.register("acme", SCORE, content, report, kept)


def answered_by(served: Answering, user: str, version: int) -> dict[str, object]:
    """The first answer of a version, waited for."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = served.get(SCORE, user)
        if answer["model_version"] == version or time.monotonic() > until:
            return answer
        time.sleep(0.1)


def test_a_flip_and_a_roll_back_take_effect_and_no_request_mixes_versions(served):
    registry, user = served.deployment.registry, users(served)[0]
    before = served.get(SCORE, user)
    version = copied_version(served, int(str(before["model_version"])))
    registry.promote("acme", SCORE, version, "a test")
    after = answered_by(served, user, version)
    assert (after["model_version"], after["served_by"]) == (
        version,
        "rule" if before["served_by"] == "rule" else "live",
    )
    assert after["score"] == pytest.approx(before["score"], abs=1e-6)
    answers = served.post(SCORE, user_ids=users(served)[:200])
    assert {answer["model_version"] for answer in answers} == {version}
    registry.rollback("acme", SCORE, "a test")
    assert answered_by(served, user, int(str(before["model_version"]))) == pytest.approx(before, rel=0.01)


def test_a_champion_with_a_broken_file_gives_way_to_the_one_before_it(served):
    registry, user = served.deployment.registry, users(served)[0]
    sound = int(str(served.get(SCORE, user)["model_version"]))
    version = copied_version(served, sound, files=())
    file = Path(served.home.artifacts(SCORE, version)) / MODEL
    file.write_bytes(file.read_bytes()[:1000])
    registry.promote("acme", SCORE, version, "a test")
    until = time.monotonic() + PATIENCE_SECONDS
    while served.server.service.watch.champion("acme", SCORE) != version and time.monotonic() < until:
        time.sleep(0.1)
    answer = served.get(SCORE, user)
    assert (answer["model_version"], answer["served_by"]) == (sound, "last good")
    registry.rollback("acme", SCORE, "a test")
    answered_by(served, user, sound)


def test_while_mlflow_is_gone_the_last_champions_answer(served):
    watch, database = served.server.service.watch, served.home.root / "mlflow.db"
    user = users(served)[0]
    before = served.get(SCORE, user)
    moved = database.rename(database.with_suffix(".gone"))
    try:
        known, until = dict(watch.champions), time.monotonic() + PATIENCE_SECONDS
        while watch.is_reached and time.monotonic() < until:
            time.sleep(0.1)
        assert not watch.is_reached
        assert served.get(SCORE, user)["score"] == before["score"]
        assert watch.champions == known
    finally:
        database.unlink(missing_ok=True)
        moved.rename(database)


def test_a_damaged_store_answers_by_the_rule_and_is_made_again_of_the_lake(served):
    store, user = AnswerStore.of(served.deployment.home, "acme"), users(served)[0]
    table = store.tables()[f"answers/{LIST}"]
    file = store.path(table)
    served.server.service.lookups.close()
    file.write_bytes(b"\0" * file.stat().st_size)
    (answer,) = served.post(LIST, user_ids=[user])
    assert answer["served_by"] == "rule"
    assert answer["items"]
    publish(served.deployment, "acme")
    (answer,) = served.post(LIST, user_ids=[user])
    assert answer["served_by"] == ("rule" if table.facts["rung"] == "rule" else "precomputed")
    assert answer["user_id"] == user


def test_a_user_who_is_forgotten_is_gone_from_the_next_answer_on(served):
    user = users(served)[-1]
    assert served.get(SCORE, user)["user_id"] == user
    served.home.ok("forget", "acme", user, "--yes", "--reason", "a test")
    (answer,) = served.post(SCORE, user_ids=[user])
    assert answer["problem"]["status"] == 404
    store = AnswerStore.of(served.deployment.home, "acme")
    assert not [file.name for file in store.folder.glob("*.sqlite") if user.encode() in file.read_bytes()]


def test_a_server_that_is_killed_answers_again_and_one_that_is_asked_to_ends_in_order(served):
    token = issue(served.deployment.home, "acme", overlap_hours=24)
    user = users(served)[0]
    expected = served.get(SCORE, user)["score"]
    port = free_port()
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        command = [
            sys.executable,
            "-m",
            "capflow_assets",
            "serve",
            "--port",
            str(port),
            "--home",
            str(served.home.root),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            score = first_score(port, token, user)
            if how == signal.SIGTERM:
                assert "acme" in httpx.get(f"http://127.0.0.1:{port}/models", timeout=PATIENCE_SECONDS).text
            process.send_signal(how)
            _, printed = process.communicate(timeout=PATIENCE_SECONDS)
        assert score == expected
        assert process.returncode in (code, -how), printed
        assert "Traceback" not in printed


def first_score(port: int, token: str, user: str) -> float:
    """The first answer of a server that starts."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            response = httpx.get(
                f"http://127.0.0.1:{port}/v1/acme/models/{SCORE}/answers/{user}",
                headers={"authorization": f"Bearer {token}"},
                timeout=PATIENCE_SECONDS,
            )
            return float(response.json()["score"])
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.2)
