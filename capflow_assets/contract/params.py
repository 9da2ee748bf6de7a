"""What a person, or the tuner, may set for a model."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Search:
    """The range in which a parameter is tuned: ``rate: Annotated[float, Search(0.01, 0.3, log=True)] = Field(0.05)``.

    ``log`` where the orders of magnitude count.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class TomlOnly:
    """A parameter that shapes what every night reads, not one training: set in the customer's TOML, not at a launch.

    Said as ``menu: Annotated[Literal["named", "all"], TomlOnly()]``.
    """


class Params(BaseModel):
    """What a person may set for a model. Bounds, defaults and descriptions reach the launchpad from here."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    seed: int = Field(0, ge=0, description="Seed of everything random in the training.")


class Horizon(Params):
    """The parameters of a model that looks ahead: how far, and at how many past moments it learns."""

    horizon_days: int = Field(30, ge=1, le=730, description="Local days after the as-of moment that are looked at.")
    moments: int = Field(4, ge=1, le=24, description="How many past as-of moments make the examples.")
    max_examples: int = Field(
        300_000,
        ge=1000,
        description="Examples of all moments together; of more a share is drawn, and rare outcomes are all kept.",
    )


class Chosen(Horizon):
    """The parameters of a model whose columns and recipe are chosen anew at each training, within a budget."""

    selection_seconds: float = Field(
        60, ge=0, le=3600, description="Seconds that the choice of columns may take; 0 reads all columns."
    )
    trials: int = Field(4, ge=0, le=500, description="Recipes that the tuner tries, the usual one among them; 0: none.")
    tuning_seconds: float = Field(
        60, ge=0, le=86_400, description="Seconds that the tuner may take; the best recipe so far counts."
    )
