"""What a customer and its vertical say of checks: which of them block, warn or rest, and from what figures on.

A check declares its thresholds as keyword-only parameters with defaults, so the function's signature is the list of
what ``[checks.NAME]`` in a TOML may hold. Four layers, each over the one before: the function's defaults, the
vertical's TOML (``verticals/{vertical}.toml``), the customer's; and within a TOML ``[checks.NAME]``, then
``[checks."stage/table:NAME"]`` for that check of one asset alone. Pure.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capflow_assets.contract import Finding
from capflow_assets.errors import CapflowError, CustomerError, listed, nearest, shortened

VERTICALS = Path(__file__).parents[1] / "verticals"
Rule = Literal["warn", "block", "off"]


class CheckSettings(BaseModel):
    """One ``[checks.NAME]``: ``severity``, and any of the check's own thresholds beside it."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, float] = Field(init=False)

    severity: Rule | None = Field(default=None, description="Left out, the check decides for itself.")

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that are set here."""
        return dict(self.__pydantic_extra__ or {})


@dataclass(frozen=True, slots=True)
class DeclaredCheck:
    """A check that can be set: its name, the assets that have it, and its thresholds and severity as it has them.

    Without a ``severity`` what the check finds decides.
    """

    name: str
    assets: tuple[str, ...]
    thresholds: Mapping[str, float]
    severity: Rule | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What holds for one check of one asset of one customer. ``severity`` None leaves it to the check."""

    severity: Rule | None
    thresholds: Mapping[str, float]

    @property
    def is_off(self) -> bool:
        """Whether the check is not to be asked."""
        return self.severity == "off"

    @property
    def blocks(self) -> bool:
        """Whether what fails the check must not be used."""
        return self.severity == "block"


class HasChecks(Protocol):
    """What is read of a customer here."""

    @property
    def vertical(self) -> str:
        """Names the TOML of defaults."""

    @property
    def checks(self) -> Mapping[str, CheckSettings]:
        """The customer's own settings."""


def thresholds_of(function: Callable[..., Any]) -> dict[str, float]:
    """The thresholds that a check function declares: its keyword-only parameters whose defaults are numbers.

    >>> def known_items(line_items, items, *, at_most_share_pct: float = 5.0): ...
    >>> thresholds_of(known_items)
    {'at_most_share_pct': 5.0}
    """
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and isinstance(parameter.default, int | float)
    }


def choose(customer: HasChecks, check: DeclaredCheck, asset: str) -> Chosen:
    """What the customer, else its vertical, else the check itself says of one check of one asset."""
    severity = check.severity
    thresholds = dict(check.thresholds)
    for layer in (vertical_checks(customer.vertical), customer.checks):
        for name in (check.name, f"{asset}:{check.name}"):
            if name in layer:
                severity = layer[name].severity or severity
                thresholds |= layer[name].thresholds
    # A count stays a count, so that messages read as before.
    whole = {name: int(value) for name, value in thresholds.items() if isinstance(check.thresholds[name], int)}
    return Chosen(severity, thresholds | whole)


def severe(finding: Finding, chosen: Chosen) -> Finding:
    """The finding with the severity that was chosen, and the thresholds that it was judged by among its figures."""
    severity = finding.severity if chosen.severity is None or chosen.severity == "off" else chosen.severity
    return replace(finding, severity=severity, found={**finding.found, **chosen.thresholds})


def resting(name: str) -> Finding:
    """What is told of a check that is off: that nobody looked."""
    message = f'not asked: [checks.{name}] says severity = "off", for the customer or its vertical'
    return Finding(name, True, message, found={"off": True})


def check_problems(
    chosen: Mapping[str, CheckSettings], declared: Mapping[str, DeclaredCheck], prefix: str = "checks"
) -> list[CapflowError]:
    """What is wrong with settings: names of checks, assets and thresholds that do not exist, and figures that fit not.

    >>> known = {"known_items": DeclaredCheck("known_items", ("clean/line_items",), {"at_most_share_pct": 5.0})}
    >>> print(check_problems({"known_itms": CheckSettings()}, known)[0])
    checks.known_itms.
      Expected: a check: one of known_items
      Came: 'known_itms'
      To do: did you mean 'known_items'?
    """
    problems: list[CapflowError] = []
    for key, settings in chosen.items():
        asset, colon, name = key.rpartition(":")
        if name not in declared:
            problems.append(_unknown(f"{prefix}.{key}", "check", name, declared))
        elif colon and asset not in declared[name].assets:
            problems.append(
                _unknown(f"{prefix}.{key}", f"table or model with the check {name}", asset, declared[name].assets)
            )
        else:
            problems += _threshold_problems(f"{prefix}.{key}", settings, declared[name])
    return problems


def _threshold_problems(key: str, settings: CheckSettings, check: DeclaredCheck) -> list[CapflowError]:
    problems = []
    for name, value in settings.thresholds.items():
        default = check.thresholds.get(name)
        if default is None:
            problems.append(_unknown(f"{key}.{name}", "threshold", name, ["severity", *check.thresholds]))
        elif not 0 <= value < float("inf") or (isinstance(default, int) and value != int(value)):
            expected = "a whole number of at least 0" if isinstance(default, int) else "a number of at least 0"
            problems.append(CapflowError(f"{key}.{name}", expected=expected, came=f"{value:g}"))
    return problems


@lru_cache(maxsize=64)
def vertical_checks(vertical: str, folder: Path = VERTICALS) -> Mapping[str, CheckSettings]:
    """The checks that a vertical's TOML sets; none where there is no such file.

    Raises:
        CustomerError: the file is not TOML, or holds more than ``[checks.…]`` with severities and numbers.
    """
    file = folder / f"{vertical}.toml"
    if file.parent != folder or not file.is_file():
        return {}
    try:
        return _Vertical.model_validate(tomllib.loads(file.read_text("utf-8"))).checks
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise CustomerError("A vertical's TOML is wrong", came=str(error), where=str(file)) from error


def verticals(folder: Path = VERTICALS) -> list[str]:
    """The verticals that have defaults."""
    return sorted(file.stem for file in folder.glob("*.toml"))


class _Vertical(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    checks: dict[str, CheckSettings] = Field(default_factory=dict)


def _unknown(key: str, kind: str, name: str, known: Any) -> CapflowError:
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else f"take it out, or choose a {kind} that there is"
    expected = f"a {kind}: one of {listed(sorted(known)) or 'none'}"
    return CapflowError(shortened(key), expected=expected, came=repr(shortened(name)), do=do)
