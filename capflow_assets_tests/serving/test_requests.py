"""What a client may ask: each wrong part is named, and what is right is read as it stands."""

from __future__ import annotations

import tracemalloc

import pytest

from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.protocols import inference_request, invocation_request
from capflow_assets.serving.requests import Query, answer_request, parsed, require_features


def test_ids_features_and_lists_are_read_in_their_order():
    body = {
        "user_ids": ["u1", 2],
        "instances": [{"user_id": "u3", "features": {"visits": 3, "is_new": True, "age": None}}, {"basket": ["i1"]}],
        "k": 5,
        "reasons": True,
    }
    request = answer_request(body)
    assert [query.user_id for query in request.queries] == ["u1", "2", "u3", None]
    assert request.queries[2].features == {"visits": 3.0, "is_new": 1.0, "age": None}
    assert request.queries[3] == Query(None, {}, frozenset({"i1"}), ("i1",))
    assert (request.k, request.has_reasons) == (5, True)


def test_what_is_in_the_basket_is_spelled_as_the_lake_spells_it():
    (query,) = answer_request({"instances": [{"basket": [" i1", 2], "exclude": ["Cafe\u0301"]}]}).queries
    assert query.unwanted == {"i1", "2", "Caf\xe9"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ([], 422, "the body is an object"),
        ({}, 422, "nobody"),
        ({"user_ids": "u1"}, 422, "user_ids is a list"),
        ({"user_ids": [None]}, 422, "user_ids[0] is an id"),
        ({"user_ids": [True]}, 422, "user_ids[0] is an id"),
        ({"user_ids": ["x" * 600]}, 422, "user_ids[0] is an id"),
        ({"user_ids": ["u"] * 1001}, 413, "1,001 subjects"),
        ({"user_ids": ["u"] * 20_000, "instances": [{}]}, 413, "20,001 subjects"),
        ({"instances": [{"basket": ["i"] * 10_001}]}, 422, "basket is a list of at most 10,000"),
        ({"user_id": "u1"}, 422, "no part 'user_id'"),
        ({"instances": [3]}, 422, "instances[0] is an object"),
        ({"instances": [{}]}, 422, "instances[0] names nobody"),
        ({"instances": [{"features": {"visits": "3"}}]}, 422, "instances[0].features.visits is a number"),
        ({"instances": [{"features": [1]}]}, 422, "instances[0].features is an object"),
        ({"user_ids": ["u"], "k": 0}, 422, "k is a whole number"),
        ({"user_ids": ["u"], "k": True}, 422, "k is a whole number"),
        ({"user_ids": ["u"], "reasons": 1}, 422, "reasons is true or false"),
    ],
)
def test_what_is_wrong_is_named(body, status, words):
    with pytest.raises(ProblemError) as caught:
        answer_request(body)
    assert (caught.value.status, words in caught.value.detail) == (status, True), caught.value.detail


@pytest.mark.parametrize("text", [b"", b"{", b'{"user_ids": NaN}', b"[" * 100_000, b"\xff\xfe", b'{"a": 1e999999}x'])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ProblemError, match="no JSON"):
        parsed(text)


def test_a_mistyped_feature_is_reported_with_the_nearest():
    with pytest.raises(ProblemError, match="did you mean 'recency_days'"):
        require_features({"recency_day": 1}, ("recency_days", "visits"))


def test_the_open_inference_protocol_by_id_and_by_feature():
    ids = {"name": "user_id", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    visits = {"name": "visits", "shape": [2, 1], "datatype": "FP64", "data": [[1.5], [2]]}
    request = inference_request(None, None, {"inputs": [ids, visits]})
    assert [(query.user_id, query.features) for query in request.queries] == [
        ("a", {"visits": 1.5}),
        ("b", {"visits": 2}),
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        [],
        [{"name": "user_id"}],
        [{"name": "user_id", "datatype": "FP64", "data": [1]}],
        [{"name": "user_id", "datatype": "BYTES", "data": "u1"}],
        [{"name": "a", "datatype": "FP64", "data": [1]}, {"name": "b", "datatype": "FP64", "data": [1, 2]}],
    ],
)
def test_tensors_that_do_not_fit_are_refused(inputs):
    with pytest.raises(ProblemError) as caught:
        inference_request(None, None, {"inputs": inputs})
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"index": [0, 1], "columns": ["user_id", "visits"], "data": [["a", 1], ["b", 2]]}},
        {"dataframe_records": [{"user_id": "a", "visits": 1}, {"user_id": "b", "visits": 2}]},
        {"instances": [{"user_id": "a", "visits": 1}, {"user_id": "b", "visits": 2}]},
        {"inputs": {"user_id": ["a", "b"], "visits": [1, 2]}},
    ],
)
def test_all_bodies_of_mlflow_ask_the_same(body):
    queries = invocation_request(body).queries
    assert [(query.user_id, query.features) for query in queries] == [("a", {"visits": 1}), ("b", {"visits": 2})]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        {"dataframe_records": [1]},
        {"inputs": [[1]]},
        {"inputs": {"a": [1], "b": []}},
    ],
)
def test_bodies_that_mlflow_would_not_take_are_refused(body):
    with pytest.raises(ProblemError) as caught:
        invocation_request(body)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "ask",
    [
        lambda many: inference_request(None, None, {"inputs": [{"name": "x", "datatype": "FP64", "data": [1] * many}]}),
        lambda many: invocation_request({"dataframe_split": {"columns": [], "data": [[]] * many}}),
        lambda many: invocation_request({"dataframe_records": [{}] * many}),
        lambda many: invocation_request({"inputs": {"x": [1] * many}}),
    ],
)
def test_more_rows_than_may_be_asked_are_refused_before_anything_is_made_of_them(ask):
    tracemalloc.start()
    try:
        with pytest.raises(ProblemError, match="200,000 subjects at once") as caught:
            ask(200_000)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413
    # The rows as objects are 40 MB and more.
    assert peak_bytes < 8_000_000
