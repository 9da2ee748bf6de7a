"""The page about destinations: its examples are what a customer's TOML may say, and no kind is left out."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from capflow_assets import delivery

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
EXAMPLES = [
    declared
    for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for declared in tomllib.loads(block)["delivery"]
]
KINDS = sorted({info.name for info in iter_modules(delivery.__path__)} - set(delivery.SHARED))


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["kind"] for example in EXAMPLES])
def test_the_options_of_an_example_are_taken_as_they_stand(example: dict[str, Any]) -> None:
    options = import_module(f"capflow_assets.delivery.{example['kind']}").DESTINATION.options
    given = options.model_validate(example["options"]).model_dump(exclude_unset=True)
    assert sorted(given) == sorted(example["options"])


def test_every_kind_has_a_line_in_the_table() -> None:
    lines = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    documented = re.findall(r"`(\w+)`", "".join(lines))
    assert set(KINDS) <= set(documented)
    assert {example["kind"] for example in EXAMPLES} <= set(KINDS)
