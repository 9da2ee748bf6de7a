"""Types of saved estimators that were moved: what was saved under a former name loads, and nothing else does."""

from __future__ import annotations

import io
import json
from zipfile import ZipFile

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.errors import BrokenModelError
from capflow_assets.stores.former_types import FORMER_TYPES, with_current_names
from capflow_assets.stores.saved_estimators import class_of, dumps, foreign_types, loads, types_of
from capflow_assets_tests.old_models import with_former_names

FORMER = sorted(FORMER_TYPES)


def model_of(former: str):
    return STAGES.model(former.split(".")[2]).model


def saved_as_formerly(former: str) -> bytes:
    """An estimator that has learned nothing, saved when its type had the former name."""
    model = model_of(former)
    makers = {class_of(candidate.make).__name__: candidate.make for candidate in model.candidates}
    content = with_former_names(dumps(makers[former.rsplit(".", 1)[1]](model.params()), types_of(model)))
    with ZipFile(io.BytesIO(content)) as packed:
        description = json.loads(packed.read("schema.json"))
    assert f"{description['__module__']}.{description['__class__']}" == former
    return content


@pytest.mark.parametrize("former", FORMER)
def test_what_was_saved_under_a_former_name_loads_as_the_present_type(former: str) -> None:
    model, content = model_of(former), saved_as_formerly(former)
    again = loads(content, types_of(model))
    assert f"{type(again).__module__}.{type(again).__qualname__}" == FORMER_TYPES[former]
    assert vars(again)["params"] == model.params()


def test_no_type_is_called_by_two_former_names_or_by_a_former_one_now() -> None:
    assert len(set(FORMER_TYPES.values())) == len(FORMER_TYPES)
    assert not set(FORMER_TYPES) & set(FORMER_TYPES.values())


def test_a_former_name_opens_no_door_to_another_models_types() -> None:
    content = saved_as_formerly("capflow_assets.models.similar_items.Fused")
    others = types_of(STAGES.model("item_recommendations").model)
    assert "capflow_assets.models.similar_items.Fused" in foreign_types(content, others)
    with pytest.raises(BrokenModelError, match="does not declare"):
        loads(content, others)


def test_what_has_present_names_alone_is_left_as_it_is() -> None:
    content = with_current_names(saved_as_formerly("capflow_assets.models.rfm_segments.RfmSegments"))
    assert with_current_names(content) is content


def test_nothing_but_names_changes() -> None:
    former = saved_as_formerly("capflow_assets.models.send_time.SendTime")
    with ZipFile(io.BytesIO(former)) as before:
        expected = {name: before.read(name) for name in before.namelist()}
    with ZipFile(io.BytesIO(with_former_names(with_current_names(former)))) as after:
        received = {name: after.read(name) for name in after.namelist()}
    assert json.loads(received.pop("schema.json")) == json.loads(expected.pop("schema.json"))
    assert received == expected
