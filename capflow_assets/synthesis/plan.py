"""What the chosen features need of line items, of bills and of users. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from capflow_assets.synthesis.entities import Variable, made_of
from capflow_assets.synthesis.features import Feature
from capflow_assets.synthesis.figures import FIGURES
from capflow_assets.synthesis.groups import Truths

# In days; None for all time.
Window = int | None


@dataclass(frozen=True)
class Step:
    """Variables whose figures are made at once, of each user.

    Numbers of bills are read off their own rows (``numbers``), or made of their line items, figures of one variable
    (``figures``) or counts of several (``counts``); all line items of a user are summed up too (``all_lines``).
    """

    makes: Literal["bills", "numbers", "figures", "counts", "different", "all_lines"]
    variables: tuple[Variable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The figures that there are of each variable, in order."""
        if self.variables[0].kind == "row" and self.makes in ("bills", "all_lines"):
            return ("rows",)
        return ("different",) if self.makes == "different" else FIGURES


@dataclass(frozen=True)
class Plan:
    """What the features ask of line items, of bills and of users."""

    features: tuple[Feature, ...]

    @cached_property
    def asked(self) -> dict[Window, dict[Variable, None]]:
        """The variables that features are made of, window by window, in days, None for all time."""
        made: dict[Window, dict[Variable, None]] = {}
        for each in self.features:
            made.setdefault(each.window_days, {})[each.of] = None
        return made

    @cached_property
    def is_whole(self) -> Truths:
        """Which features count."""
        import numpy as np

        return np.array([each.aggregation.is_whole for each in self.features])

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variables that features are made of."""
        return tuple(dict.fromkeys(each.of for each in self.features))

    @cached_property
    def numbers(self) -> tuple[Variable, ...]:
        """The numbers and truths of a bill's own row."""
        return tuple(each for each in self._own("bills") if each.kind in ("number", "truth"))

    @cached_property
    def categories(self) -> tuple[Variable, ...]:
        """The categories of a bill's own row."""
        return tuple(each for each in self._own("bills") if each.kind == "category")

    @cached_property
    def of_lines(self) -> tuple[Variable, ...]:
        """The variables of line items that are summed up, bill by bill."""
        inner = (each.of or each for each in self.variables)
        return tuple(dict.fromkeys(each for each in inner if each.entity == "line_items"))

    def _own(self, entity: str) -> tuple[Variable, ...]:
        there = self.of_lines if entity == "line_items" else tuple(each for each in self.variables if not each.of)
        return tuple(each for each in there if each.entity == entity)

    def read(self, entity: str) -> tuple[Variable, ...]:
        """The variables that the engine reads off an entity's own row."""
        each_and_its = (made_of(each) if each.made else (each,) for each in self._own(entity) if each.kind != "row")
        return tuple(dict.fromkeys(variable for several in each_and_its for variable in several))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """How the figures of users are made."""
        in_bills: dict[Variable | None, list[Variable]] = {}
        for each in self.variables:
            if each.of:
                in_bills.setdefault(None if each.of.kind in ("row", "category") else each.of, []).append(each)
        made = [
            Step("bills", tuple(each for each in self._own("bills") if each.kind == "row")),
            Step("numbers", self.numbers),
            *(Step("figures" if of else "counts", tuple(several)) for of, several in in_bills.items()),
            *(Step("different", (each,)) for each in self.categories),
            *(Step("all_lines", (each,)) for each in self.variables if each.entity == "line_items"),
        ]
        return tuple(each for each in made if each.variables)

    @cached_property
    def windows(self) -> dict[Window, tuple[Step, ...]]:
        """The steps of each window."""
        return {
            days: tuple(each for each in self.steps if not asked.keys().isdisjoint(each.variables))
            for days, asked in self.asked.items()
        }

    @cached_property
    def places(self) -> dict[Window, tuple[list[int], list[int]]]:
        """Of each window its features, by place, and where the figure of each stands among those of its steps."""
        made = {}
        for days, steps in self.windows.items():
            figures = ((variable, name) for step in steps for variable in step.variables for name in step.names)
            there = {figure: place for place, figure in enumerate(figures)}
            features = [place for place, each in enumerate(self.features) if each.window_days == days]
            chosen = [self.features[place] for place in features]
            made[days] = features, [there[each.of, each.aggregation.figure] for each in chosen]
        return made
