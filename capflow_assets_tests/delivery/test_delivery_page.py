"""The page about destinations: its examples are what a customer's TOML may say, and no kind is left out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from capflow_assets import delivery
from capflow_assets.blueprint.destinations import read_destinations
from capflow_assets.customers.delivery_settings import DeclaredDelivery, delivery_problems

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
EXAMPLES = [
    DeclaredDelivery.model_validate(declared)
    for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for declared in tomllib.loads(block)["delivery"]
]
KINDS = read_destinations(delivery)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.kind for example in EXAMPLES])
def test_an_example_is_taken_as_it_stands(example: DeclaredDelivery) -> None:
    assert delivery_problems([example], KINDS, ["churn"]) == []


def test_every_kind_has_a_line_in_the_table() -> None:
    lines = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", "".join(lines)))
