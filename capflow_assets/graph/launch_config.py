"""The launchpad of a model: its form, with every parameter, default and bound in words, and what it refuses.

The form opens with every parameter that may differ from one training to the next, and leaves it open, by words that
say its default and bounds (``default 8 (at least 2, at most 24)``): then the customer's TOML holds, else the default.
To fill in the default itself would overrule the TOML of every customer that is launched from there.

The type of a parameter names its bounds too, and values beyond them are refused in the launchpad when a launch is
planned, before there is a run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from dagster._config import ConfigType, ConfigTypeKind
from dagster._config.errors import PostProcessingError

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Search, TomlOnly
from capflow_assets.graph.customer_tables import AS_OF_WORDS
from capflow_assets.life.retrainings import BY_HAND

NUMBERS = {int: "Int", float: "Float"}
# What a parameter that is left open begins with in the form.
OPEN = "default "
BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", operator.ge),
    "gt": ("above", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("below", operator.lt),
}


class Parameter(ConfigType):
    """A parameter of the launchpad's form, which is left open or read.

    It is of any kind for Dagster, which lets the form say in words what an open one will be.
    """

    def __init__(self, words: str, rule: str, fits: Callable[[Any], bool]) -> None:
        """``words`` are the type's name; ``rule`` says in an error what ``fits``."""
        super().__init__(key=words, given_name=words, kind=ConfigTypeKind.ANY)
        self._rule, self._fits = rule, fits

    def post_process(self, value: Any) -> Any:
        """The value, None where it is left open.

        Raises:
            PostProcessingError: it is not what is expected.
        """
        if value is None or (isinstance(value, str) and value.startswith(OPEN)):
            return None
        if not self._fits(value):
            to_do = "Leave the parameter as the form has it, or null, to have the customer's TOML or the default."
            raise PostProcessingError(f"Expected: {self._rule}. Came: {value!r}. {to_do}")
        return value


def bounded_number(number: type[int] | type[float], bounds: Mapping[str, float]) -> Parameter:
    """A number within ``bounds``, which are pydantic's: ``ge``, ``gt``, ``le``, ``lt``.

    >>> bounded_number(int, {"ge": 1, "le": 24}).given_name
    'Int, at least 1, at most 24'
    """
    kinds = (int,) if number is int else (int, float)

    def fits(value: Any) -> bool:
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and all(BOUNDS[name][1](value, bound) for name, bound in bounds.items())

    kind = "a whole number" if number is int else "a number"
    words = ", ".join(filter(None, (NUMBERS[number], in_words(bounds))))
    return Parameter(words, " ".join(filter(None, (kind, in_words(bounds)))), fits)


def in_words(bounds: Mapping[str, float]) -> str:
    """Bounds as a person says them.

    >>> in_words({"gt": 0, "le": 1})
    'above 0, at most 1'
    """
    return ", ".join(f"{BOUNDS[name][0]} {bound:,g}" for name, bound in bounds.items())


def config_schema(spec: ModelSpec) -> dict[str, Any]:
    """The launchpad's form: the as-of moment and the model's Params, with their bounds and defaults in words."""
    fields = {
        name: dg.Field(
            _kind(info.annotation, _bounds(info.metadata)),
            is_required=False,
            default_value=_opened(info.default, info.annotation, info.metadata),
            description=f"{info.description} {_words(info.default, info.metadata)}",
        )
        for name, info in spec.model.params.model_fields.items()
        if not any(isinstance(rule, TomlOnly) for rule in info.metadata)
    }
    return {
        "as_of": dg.Field(dg.Noneable(str), is_required=False, description=AS_OF_WORDS),
        "params": dg.Field(
            dg.Shape(fields),
            description="Parameters of this run. One left as it is, is as the customer's TOML says, else the default.",
        ),
        "action": dg.Field(
            dg.Enum("Renewal", [dg.EnumValue("retrain"), dg.EnumValue("recalibrate")]),
            is_required=False,
            default_value="retrain",
            description="Train anew, or give the champion a new calibration and leave its order as it is.",
        ),
        "cause": dg.Field(str, is_required=False, default_value=BY_HAND, description="Why; kept in the ledger."),
    }


def _kind(annotation: Any, bounds: Mapping[str, float]) -> Parameter:
    if annotation in NUMBERS:
        return bounded_number(annotation, bounds)
    if get_origin(annotation) is Literal:
        choices = ", ".join(map(str, get_args(annotation)))
        return Parameter(f"One of {choices}", f"one of {choices}", lambda value: value in get_args(annotation))
    if annotation in (bool, str):
        return Parameter(annotation.__name__, f"a {annotation.__name__}", lambda value: isinstance(value, annotation))
    return Parameter("Whatever the parameter takes", "anything", lambda _: True)


def _bounds(rules: list[Any]) -> dict[str, float]:
    return {name: getattr(rule, name) for rule in rules for name in BOUNDS if hasattr(rule, name)}


def _words(default: Any, rules: list[Any]) -> str:
    """A parameter's default and bounds, and the range that the tuner searches."""
    searched = next((rule for rule in rules if isinstance(rule, Search)), None)
    tuned = f" Tuned between {searched.low:g} and {searched.high:g}." if searched else ""
    return f"Default {_shown(default)}; {in_words(_bounds(rules)) or 'unbounded'}.{tuned}"


def _opened(default: Any, annotation: Any, rules: list[Any]) -> str:
    """What the form says of a parameter that is left open: its default, and what it may be instead."""
    choices = " or ".join(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ""
    may_be = in_words(_bounds(rules)) or choices
    return f"{OPEN}{_shown(default)}{f' ({may_be})' if may_be else ''}"


def _shown(default: Any) -> str:
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return f"{default:,g}" if is_number else repr(default)
