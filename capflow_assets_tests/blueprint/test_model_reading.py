"""A model file that is wired wrongly is refused at load, in words that say what to mend."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from capflow_assets.blueprint.model_reading import read_model
from capflow_assets.contract import Answer, Metric, Needs, Outcome, Reads, Subject
from capflow_assets.definitions import STAGES
from capflow_assets.errors import GraphError
from capflow_assets_tests.life.shop import REGULARS

RFM = Reads("features/rfm", ("visits",))
VISITS, BASELINE = REGULARS.candidates


def read(**changed: Any) -> Any:
    """The spec of the shop's model, changed, as of a file ``models/planted.py``."""
    module = ModuleType("planted")
    module.MODEL = replace(REGULARS, **changed)  # type: ignore[attr-defined]
    return read_model("planted", module, STAGES.tables)


def known(bills: Any, as_of: Any) -> Any:
    return bills


def outcome_of_bils(bils: Any, start: Any, end: Any) -> Any:
    return bils


ITEMS = Subject("reviewed item", ("item_id", "review_id"), known)
# Users with the outcome are counted for models of users only.
OF_OTHERS = replace(REGULARS.needs, positives=0)


def test_what_is_wired_well_is_read() -> None:
    store = Subject("store", ("store_id",), known)
    spec = read(subject=store, reads=(Reads("clean/bills", form="frame"),), needs=OF_OTHERS)
    assert spec.edges == {
        "models/planted": {"clean/bills"},
        "predictions/planted": {"clean/bills", "models/planted"},
        "health/planted": {"predictions/planted"},
        "delivery/planted": {"predictions/planted"},
    }
    assert read(reads=(RFM, Reads("features/rhythm", ("overdue_ratio",)))).model.columns == ("visits", "overdue_ratio")
    assert read(subject=ITEMS, reads=(Reads("features/text", ("words",)),), needs=OF_OTHERS).model.columns == ("words",)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ((), ["A model reads no table"]),
        ((Reads("features/rmf", ("visits",)),), ["a table that does not exist", "features/rmf", "did you mean"]),
        ((Reads("features/rfm", ("visits", "vists")),), ["features/rfm does not have", "vists", "'visits'"]),
        ((Reads("clean/bills", ("amonut",), "frame"),), ["clean/bills does not have", "did you mean 'amount'"]),
        ((RFM, Reads("features/rfm", ("recency_days",))), ["reads a table twice", "features/rfm"]),
        ((RFM, Reads("features/user_item", ("purchases",))), ["cannot be joined", "user_id, item_id", 'form="frame"']),
        ((RFM, Reads("clean/users", ("city",))), ["cannot be joined"]),
        ((RFM, Reads("features/rhythm")), ["joins features/rhythm and names no column"]),
        ((Reads("features/rfm", ("visits",), optional=True),), ["joins an optional table", "features/rfm"]),
        ((Reads("clean/bills", form="frame"),), ["Nobody says which users", "Subject.known"]),
    ],
    ids=[
        "nothing",
        "no table",
        "no column",
        "no column of a frame",
        "twice",
        "no join",
        "clean",
        "unnamed",
        "optional",
        "nobody",
    ],
)
def test_reads_that_are_wired_wrongly_are_refused(reads: tuple[Reads, ...], words: list[str]) -> None:
    with pytest.raises(GraphError) as caught:
        read(reads=reads)
    assert all(word in str(caught.value) for word in [*words, "Where: planted"]), str(caught.value)


def test_one_column_name_in_two_blocks_is_refused() -> None:
    with pytest.raises(GraphError, match=r"two columns of one name(.|\n)*words of features/text, features/reviews"):
        read(subject=ITEMS, reads=(Reads("features/text", ("words",)), Reads("features/reviews", ("words", "rating"))))


def test_of_all_pairs_of_blocks_those_are_refused_in_which_pandas_finds_a_name_twice() -> None:
    blocks = {
        key: spec.table
        for key, spec in STAGES.tables.items()
        if spec.stage == "features" and set(spec.table.key) == {"user_id", "as_of"}
    }
    declared = pd.DataFrame(
        [(key, name) for key, table in blocks.items() for name in table.names if name not in table.key],
        columns=["block", "column"],
    )
    pairs = declared.merge(declared, on="column", suffixes=("", "_other"))
    shared = pairs[pairs["block"] != pairs["block_other"]].groupby(["block", "block_other"])["column"].agg(set)
    columns = declared.groupby("block")["column"].agg(tuple)
    for block, other in combinations(columns.index, 2):
        reads = tuple(Reads(key, columns[key]) for key in (block, other))
        names = shared.get((block, other), set())
        if not names:
            assert set(read(reads=reads).model.columns) == {*columns[block], *columns[other]}
            continue
        with pytest.raises(GraphError, match="two columns of one name") as caught:
            read(reads=reads)
        assert all(f"{name} of {block}, {other}" in str(caught.value) for name in names)


@pytest.mark.parametrize("name", ["user_id", "as_of"])
def test_a_key_is_no_feature(name: str) -> None:
    with pytest.raises(GraphError, match=f"two columns of one name(.|\\n)*{name} of the subject's key, features/rfm"):
        read(reads=(Reads("features/rfm", ("visits", name)),))


@pytest.mark.parametrize(
    ("candidates", "received"),
    [
        ((), "no candidates; baselines: none"),
        ((VISITS,), "visits; baselines: none"),
        ((BASELINE,), "all alike; baselines: all alike"),
        ((replace(VISITS, is_baseline=True), BASELINE), "baselines: visits, all alike"),
        ((VISITS, VISITS, BASELINE), "visits, visits, all alike"),
    ],
    ids=["none", "no baseline", "the baseline alone", "two baselines", "one name twice"],
)
def test_one_baseline_and_another_are_needed(candidates: tuple[Any, ...], received: str) -> None:
    with pytest.raises(GraphError, match="no one baseline to beat") as caught:
        read(candidates=candidates)
    assert received in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"outcome": Outcome(REGULARS.outcome.compute, ())}, "outcome has no columns"),
        ({"outcome": Outcome(outcome_of_bils, ("bought",))}, "did you mean 'bills'"),
        ({"answer": Answer(per=("user_id",))}, "told apart by its subject's own key"),
        ({"subject": Subject("nobody", ())}, "cannot be joined"),
        ({"subject": Subject("nobody", (), known), "reads": (Reads("clean/bills", form="frame"),)}, "has no key"),
        (
            {"subject": Subject("user and campaign", ("user_id", "campaign_id"))},
            "Nobody says which pairs of user and campaign",
        ),
        ({"metric": replace(REGULARS.metric, unit=("store_id",))}, "unit is no part of the subject's key"),
        ({"rules": REGULARS.rules * 2}, "rule has a name that is taken(.|\n)*Came: calibrated"),
        ({"rules": (replace(REGULARS.rules[0], name="leakage"),)}, "rule has a name that is taken(.|\n)*Came: leakage"),
        ({"needs": Needs(tables=("clean/bils",))}, "did you mean 'clean/bills'"),
        ({"needs": Needs(tables=("clean/bills",), evidence={"negative": 3})}, "did you mean 'negatives'"),
        ({"answers_from": Needs(tables=("clean/bills",))}, 'answers_from only of a model fitted to "now"'),
        ({"answers_from": Needs(tables=("clean/items",)), "fitted": "now"}, "answers before it can be"),
        (
            {"subject": Subject("bill", ("bill_id",), known), "reads": (Reads("clean/bills", form="frame"),)},
            "whom nobody counts for it",
        ),
    ],
    ids=[
        "columns",
        "parameter",
        "per",
        "no key",
        "no key of frames",
        "half a key",
        "unit",
        "rules of one name",
        "rule of a taken name",
        "table",
        "measure",
        "learns and answers unjudged",
        "a table more",
        "positives of others than users",
    ],
)
def test_what_else_cannot_be_wired_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        read(**changed)


def test_a_metrics_unit_may_be_a_part_of_the_key() -> None:
    subject = Subject("user and campaign", ("user_id", "campaign_id"), known)
    metric = Metric("zero", lambda outcomes, answers: 0.0, True, "", unit=("user_id",))
    assert read(subject=subject, metric=metric, needs=OF_OTHERS).model.metric.unit == ("user_id",)
