"""The launchpad of a model: its form, with every parameter, default and bound in words, and what it refuses.

The form offers every parameter that may differ from one training to the next, and leaves it open (``null``): then the
customer's TOML holds, else the model's default. To fill in the defaults would overrule the TOML of every customer that
is launched from there.

The type of a parameter names its bounds, and values beyond them are refused when a launch is planned, before there is
a run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from dagster._config import ConfigScalar, ConfigScalarKind
from dagster._config.errors import PostProcessingError

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Search, TomlOnly
from capflow_assets.graph.customer_tables import AS_OF_WORDS
from capflow_assets.life.retrainings import BY_HAND

KINDS: Mapping[Any, Any] = {int: int, float: float, bool: bool, str: str}
NUMBERS = {int: ("Int", ConfigScalarKind.INT), float: ("Float", ConfigScalarKind.FLOAT)}
BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", operator.ge),
    "gt": ("above", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("below", operator.lt),
}


class BoundedNumber(ConfigScalar):
    """A number within bounds: a type of the launchpad's form.

    >>> BoundedNumber(int, {"ge": 1, "le": 24}).given_name
    'Int, at least 1, at most 24'
    """

    def __init__(self, number: type[int] | type[float], bounds: Mapping[str, float]) -> None:
        """``bounds`` are pydantic's: ``ge``, ``gt``, ``le``, ``lt``."""
        name, kind = NUMBERS[number]
        self._number, self._bounds = number, bounds
        self._rule = in_words(bounds)
        words = f"{name}, {self._rule}"
        super().__init__(key=words, given_name=words, scalar_kind=kind)

    def post_process(self, value: Any) -> Any:
        """The value, where it is within the bounds.

        Raises:
            PostProcessingError: it is not.
        """
        if not all(BOUNDS[name][1](value, bound) for name, bound in self._bounds.items()):
            to_do = "Leave the parameter null to have the customer's TOML or the default."
            raise PostProcessingError(f"Expected: a number {self._rule}. Came: {value!r}. {to_do}")
        return self._number(value)


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
            dg.Noneable(_kind(spec, name, info.annotation, _bounds(info.metadata))),
            is_required=False,
            default_value=None,
            description=f"{info.description} {_words(info.default, info.metadata)}",
        )
        for name, info in spec.model.params.model_fields.items()
        if not any(isinstance(rule, TomlOnly) for rule in info.metadata)
    }
    return {
        "as_of": dg.Field(dg.Noneable(str), is_required=False, description=AS_OF_WORDS),
        "params": dg.Field(
            dg.Shape(fields),
            description="Parameters of this run. What is null is as the customer's TOML says, else the default.",
        ),
        "action": dg.Field(
            dg.Enum("Renewal", [dg.EnumValue("retrain"), dg.EnumValue("recalibrate")]),
            is_required=False,
            default_value="retrain",
            description="Train anew, or give the champion a new calibration and leave its order as it is.",
        ),
        "cause": dg.Field(str, is_required=False, default_value=BY_HAND, description="Why; kept in the ledger."),
    }


def _kind(spec: ModelSpec, name: str, annotation: Any, bounds: Mapping[str, float]) -> Any:
    if annotation in NUMBERS and bounds:
        return BoundedNumber(annotation, bounds)
    if get_origin(annotation) is Literal:
        return dg.Enum(f"{spec.name}_{name}", [dg.EnumValue(choice) for choice in get_args(annotation)])
    return KINDS.get(annotation, dg.Any)


def _bounds(rules: list[Any]) -> dict[str, float]:
    return {name: getattr(rule, name) for rule in rules for name in BOUNDS if hasattr(rule, name)}


def _words(default: Any, rules: list[Any]) -> str:
    """A parameter's default and bounds, and the range that the tuner searches."""
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    searched = next((rule for rule in rules if isinstance(rule, Search)), None)
    tuned = f" Tuned between {searched.low:g} and {searched.high:g}." if searched else ""
    shown = f"{default:,g}" if is_number else repr(default)
    return f"Default {shown}; {in_words(_bounds(rules)) or 'unbounded'}.{tuned}"
