"""The application over a home that was run: answers against the lake, other clients' calls, and what is refused."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from capflow_assets.serving.examples import BODIES
from capflow_assets.serving.tokens import RECHECK_UNKNOWN_SECONDS, issue
from capflow_assets_doubles.homes import EACH_KIND, TestHome
from capflow_assets_tests.serving.homes import Answering, answering, long_valid

SCORE, LIST = "purchase_propensity", "next_basket"


@pytest.fixture(scope="module")
def served(acme: TestHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    home = acme.copied(tmp_path_factory.mktemp("served") / "home")
    long_valid(home, "acme")
    with answering(home) as one:
        yield one


@pytest.fixture(scope="module")
def night(served: Answering) -> dict[str, dict[str, Any]]:
    """What the night answered, as the lake has it."""
    rows = served.deployment.lake.arrow("acme", f"predictions/{SCORE}").to_pylist()
    return {row["user_id"]: row for row in rows}


def test_a_user_gets_what_the_night_answered(served, night):
    for user in list(night)[:20]:
        answer, row = served.get(SCORE, user, reasons=True), night[user]
        same = ("score", "band", "percentile", "reasons", "model_version")
        assert {name: answer[name] for name in same} == {name: row[name] for name in same}
        assert answer["as_of"] == row["as_of"].isoformat()


def test_a_list_is_the_nights_in_its_order_without_what_is_in_the_basket(served):
    rows = served.deployment.lake.arrow("acme", f"predictions/{LIST}").to_pylist()
    user = rows[0]["user_id"]
    own = sorted((row for row in rows if row["user_id"] == user), key=lambda row: row["rank"])
    items = [row["item_id"] for row in own]
    (whole,) = served.post(LIST, user_ids=[user])
    assert [row["item_id"] for row in whole["items"]] == items
    (cut,) = served.post(LIST, instances=[{"user_id": user, "basket": items[:1], "exclude": items[2:3]}], k=3)
    assert [row["item_id"] for row in cut["items"]] == [item for item in items if item not in (items[0], items[2])][:3]


def test_features_at_hand_change_the_answer_and_those_of_the_night_do_not(served, night):
    user = next(iter(night))
    key = served.deployment.stages.model(SCORE).model.columns[0]
    (same, other) = served.post(
        SCORE, instances=[{"user_id": user, "features": {}}, {"user_id": user, "features": {key: 1.0}}]
    )
    assert same["served_by"] in ("precomputed", "last good", "live", "rule")
    assert other["served_by"] in ("live", "rule")
    assert same["score"] == pytest.approx(night[user]["score"], abs=1e-6)


def test_live_answers_are_the_nights_to_a_millionth(served, night):
    users = list(night)[:300]
    instances = []
    for user in users:
        known, _ = served.server.service.lookups.features("acme", user)
        wanted = served.deployment.stages.model(SCORE).model.columns
        features = {name: None if known[name] != known[name] else known[name] for name in wanted}
        instances.append({"features": features})
    answers = served.post(SCORE, instances=instances)
    assert {answer["model_version"] for answer in answers} == {night[users[0]]["model_version"]}
    for user, answer in zip(users, answers, strict=True):
        assert answer["score"] == pytest.approx(night[user]["score"], rel=1e-6, abs=1e-6)
        assert answer["band"] == night[user]["band"]


def test_reasons_of_live_answers_are_those_of_the_estimator(served, night):
    user = next(iter(night))
    known, _ = served.server.service.lookups.features("acme", user)
    wanted = served.deployment.stages.model(SCORE).model.columns
    features = {name: None if known[name] != known[name] else known[name] for name in wanted}
    (answer,) = served.post(SCORE, instances=[{"features": features}], reasons=True)
    assert answer["reasons"] == night[user]["reasons"]


def test_a_segment_that_is_given_live_has_its_name(served):
    rows = served.deployment.lake.arrow("acme", "predictions/rfm_segments").to_pylist()
    instances = []
    for row in rows[:20]:
        known, _ = served.server.service.lookups.features("acme", row["user_id"])
        wanted = served.deployment.stages.model("rfm_segments").model.columns
        instances.append({"features": {name: None if known[name] != known[name] else known[name] for name in wanted}})
    answers = served.post("rfm_segments", instances=instances)
    assert {answer["served_by"] for answer in answers} == {"live"}
    assert [answer["segment"] for answer in answers] == [row["segment"] for row in rows[:20]]


def test_an_unknown_user_is_reported_and_the_neighbours_are_answered(served, night):
    user = next(iter(night))
    first, second = served.post(SCORE, user_ids=["nobody", user])
    assert (first["user_id"], first["problem"]["status"]) == ("nobody", 404)
    assert second["score"] == night[user]["score"]
    assert served.client.get(f"/v1/acme/models/{SCORE}/answers/nobody").status_code == 404


def test_another_customer_is_not_there_and_neither_is_one_that_does_not_exist(served):
    toml = served.home.root / "customers"
    (toml / "canary.toml").write_text((toml / "acme.toml").read_text().replace('name = "acme"', 'name = "canary"'))
    foreign = issue(served.deployment.home, "canary")
    time.sleep(RECHECK_UNKNOWN_SECONDS)  # files are not looked at more often for a token that is not known
    head = {"authorization": f"Bearer {foreign}"}
    paths = [f"/v1/{{}}/models/{SCORE}/answers/u1", "/v1/{}/models", f"/v2/models/{{}}.{SCORE}"]
    for path in paths:
        taken, absent = (served.client.get(path.format(name), headers=head) for name in ("acme", "zeppelin"))
        assert (taken.status_code, taken.json()) == (absent.status_code, absent.json())
        assert taken.status_code == 404


def test_a_canary_of_another_customer_comes_out_by_no_way(served):
    from capflow_assets.stores.answer_store import AnswerStore

    foreign = AnswerStore.of(served.deployment.home, "canary")
    with foreign.writing():
        for table in (f"answers/{SCORE}", "features"):
            foreign.replace(table, "1", [("canary-4711", b'{"score": 0.4711}')], {"columns": [], "shape": "score"})
    ways = [
        f"/v1/acme/models/{SCORE}/answers/canary-4711",
        f"/v1/canary/models/{SCORE}/answers/canary-4711",
        f"/v1/acme%2F..%2Fcanary/models/{SCORE}/answers/canary-4711",
        f"/v1/acme/models/..%2F..%2Fcanary%2Fmodels%2F{SCORE}/answers/canary-4711",
        f"/v1/acme/models/{SCORE}/answers/..%2F..%2Fcanary%2Fcanary-4711",
        f"/v2/models/canary.{SCORE}",
        f"/v2/models/acme.canary.{SCORE}",
    ]
    for way in ways:
        response = served.client.get(way)
        assert (response.status_code, "0.4711" in response.text) == (404, False), way
    (answer,) = served.post(SCORE, user_ids=["canary-4711"])
    assert answer["problem"]["status"] == 404


def test_without_a_token_nothing_is_said_and_one_in_the_address_is_refused(served):
    path = f"/v1/acme/models/{SCORE}/answers/u1"
    bare = served.client.get(path, headers={"authorization": ""})
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
    leaked = served.client.get(path, params={"token": "cfa_x"})
    assert (leaked.status_code, leaked.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"user_ids": [NaN]}', 400),
        (b"[" * 200_000 + b"]" * 200_000, 400),
        (b'{"user_ids": {"a": 1}}', 422),
        (b" " * (5 << 20), 413),
        (b'{"instances": [{"user_id": "u", "features": {"not_a_feature": 1}}]}', 422),
    ],
)
def test_bodies_that_cannot_be_answered_are_problems(served, body, status):
    response = served.client.post(f"/v1/acme/models/{SCORE}/answers", content=body)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_of_a_hundred_megabytes_is_read_to_the_bound_only(served):
    host, port = served.client.base_url.host, served.client.base_url.port
    head = f"POST /v1/acme/models/{SCORE}/answers HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    token = f"authorization: {served.client.headers['authorization']}\r\n\r\n"
    chunk, sent, answer = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n", 0, b""
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall((head + token).encode())
        while sent < 100 and not answer:
            try:
                connection.sendall(chunk)
                sent += 1
                connection.settimeout(0.05)
                answer = connection.recv(200)
            except TimeoutError:
                connection.settimeout(30)
            except ConnectionError:
                break
    assert sent < 100
    assert answer.startswith(b"HTTP/1.1 413") or not answer


def test_the_open_inference_protocol_and_mlflows_bodies_say_the_same(served, night):
    users = list(night)[:3]
    inputs = [{"name": "user_id", "shape": [3], "datatype": "BYTES", "data": users}]
    inferred = served.client.post(f"/v2/models/acme.{SCORE}/infer", json={"id": "7", "inputs": inputs}).json()
    invoked = served.client.post(
        f"/v1/acme/models/{SCORE}/invocations",
        json={"dataframe_split": {"columns": ["user_id"], "data": [[u] for u in users]}},
    ).json()
    scores = [night[user]["score"] for user in users]
    assert (inferred["id"], inferred["outputs"][0]["data"]) == ("7", scores)
    assert [answer["score"] for answer in invoked["predictions"]] == scores
    described = served.client.get(f"/v2/models/acme.{SCORE}").json()
    assert described["versions"] == [str(night[users[0]]["model_version"])]
    assert served.client.get(f"/v2/models/acme.{SCORE}/ready").status_code == 200


def test_every_example_of_the_openapi_page_runs(served):
    paths = served.client.get("/openapi.json").json()["paths"]
    count = 0
    for path, operations in paths.items():
        examples = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in examples.get("examples", {}).values():
            model = LIST if "basket" in str(example) else SCORE
            named = path.format(customer="acme", model=model, name=f"acme.{model}", version=1)
            champion = served.server.service.watch.champion("acme", model)
            named = named.replace("/versions/1/", f"/versions/{champion}/")
            response = served.client.post(named, json=example["value"])
            assert response.status_code == 200, (named, response.text)
            count += 1
    assert count == sum(len(examples) for examples in BODIES.values()) + len(BODIES["infer"])


# An effect, an amount, a list, a chance, a segment, a series.
@pytest.mark.parametrize("model", EACH_KIND)
def test_the_example_of_each_kind_of_model_is_answered_by_it(served, model):
    body = served.client.get(f"/v1/acme/models/{model}/example").json()
    answers = served.post(model, **body)
    assert answers
    assert [answer for answer in answers if "problem" in answer] == []
    if model == SCORE:
        columns = served.client.get(f"/v2/models/acme.{model}").json()["inputs"][1:]
        assert list(body["instances"][-1]["features"]) == [column["name"] for column in columns]
        assert answers[-1]["served_by"] == "live"


def test_health_metrics_and_the_page(served):
    assert served.client.get("/v2/health/live", headers={"authorization": ""}).status_code == 200
    assert served.client.get("/v2/health/ready").json() == {"ready": True}
    metrics = served.client.get("/metrics").text
    assert 'capflow_answers_total{served_by="precomputed"}' in metrics or 'served_by="' in metrics
    assert "acme" not in metrics


def test_the_openapi_page_needs_no_other_server(served):
    page = served.client.get("/docs").text
    addresses = re.findall(r"""(?:src|href|url)["']?\s*[=:]\s*["']([^"']+)""", page)
    assert {address.rpartition(".")[2] for address in addresses} == {"js", "css", "png", "json"}
    for address in addresses:
        assert served.client.get(address).status_code == 200, address
    assert served.client.get("/docs-scripts/none.js").status_code == 404


def test_no_log_line_names_a_user(served, night, caplog):
    import logging

    user = next(iter(night))
    with caplog.at_level(logging.DEBUG):
        served.post(SCORE, user_ids=[user, "canary-user-4711"])
        served.client.get(f"/v1/acme/models/{SCORE}/answers/canary-user-4711")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("capflow")]
    assert lines
    assert not [line for line in lines if "canary" in line or user in line]
