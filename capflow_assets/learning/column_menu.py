"""The columns that a model names, each with words for people, and the wider menu that a customer's TOML may ask for.

What is on the wider menu is ``life.menus``' business; which columns of a menu are read is chosen at each training by
``learning.selection``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from pydantic import Field

from capflow_assets.contract import Model, Reads, TomlOnly
from capflow_assets.learning.boosting import BoostingParams

# By feature block the columns that are read of it, each with a text that has a place for its value.
Words = Mapping[str, Mapping[str, str]]

A = ParamSpec("A")
M = TypeVar("M", bound=Model[Any])


class MenuParams(BoostingParams):
    """What a person or the tuner may set for a model that chooses its columns from a menu."""

    menu: Annotated[Literal["named", "all"], TomlOnly()] = Field(
        "named", description="Columns to choose among: those that the model names, or all of its subjects'."
    )


def reads_of(words: Words) -> tuple[Reads, ...]:
    """The joined tables of a menu.

    >>> reads_of({"features/rfm": {"visits": "{:.0f} visits in all"}})[0].columns
    ('visits',)
    """
    return tuple(Reads(table, tuple(block)) for table, block in words.items())


def texts_of(words: Words) -> dict[str, str]:
    """The columns of all blocks with their texts.

    >>> texts_of({"features/rfm": {"visits": "{:.0f} visits"}, "features/rhythm": {"gap_days_avg": "{:.0f} days"}})
    {'visits': '{:.0f} visits', 'gap_days_avg': '{:.0f} days'}
    """
    return {name: text for block in words.values() for name, text in block.items()}


def merged(words: Words, more: Words) -> Words:
    """The words of both, block by block; the first's blocks come first.

    >>> merged({"a": {"x": "x {}"}}, {"b": {"z": "z {}"}, "a": {"y": "y {}"}})
    {'a': {'x': 'x {}', 'y': 'y {}'}, 'b': {'z': 'z {}'}}
    """
    return {block: {**words.get(block, {}), **more.get(block, {})} for block in [*words, *more]}


def with_menu(make: Callable[A, M]) -> Callable[A, M]:
    """Of a function that makes a model of its ``words`` (a keyword): the model's ``widened`` makes it of more words."""

    @wraps(make)
    def model_of(*args: A.args, **named: A.kwargs) -> M:
        def widened(more: Words) -> Model[Any]:
            words: Any = {**named, "words": merged(named["words"], more)}  # type: ignore[arg-type]
            return model_of(*args, **words)

        return replace(make(*args, **named), widened=widened)

    return model_of
