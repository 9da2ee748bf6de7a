"""What the chosen features need of line items, of bills and of users. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from capflow_assets.synthesis.entities import Variable, inputs_of
from capflow_assets.synthesis.features import Feature
from capflow_assets.synthesis.figures import FIGURES
from capflow_assets.synthesis.groups import Truths

# In days; None for all time.
Window = int | None


@dataclass(frozen=True)
class Step:
    """Variables whose figures are computed at once, for each user.

    Numbers of bills are read off their own rows (``numbers``), or computed from their line items: figures of one
    variable (``figures``) or counts of several (``counts``). All line items of a user are summed up too
    (``all_lines``).
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
    """What the features need of line items, of bills and of users."""

    features: tuple[Feature, ...]

    @cached_property
    def by_window(self) -> dict[Window, dict[Variable, None]]:
        """The variables that features aggregate, window by window."""
        variables: dict[Window, dict[Variable, None]] = {}
        for feature in self.features:
            variables.setdefault(feature.window_days, {})[feature.of] = None
        return variables

    @cached_property
    def is_whole(self) -> Truths:
        """Which features count."""
        import numpy as np

        return np.array([feature.aggregation.is_whole for feature in self.features])

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variables that features aggregate."""
        return tuple(dict.fromkeys(feature.of for feature in self.features))

    @cached_property
    def numbers(self) -> tuple[Variable, ...]:
        """The numbers and truths of a bill's own row."""
        return tuple(variable for variable in self._own("bills") if variable.kind in ("number", "truth"))

    @cached_property
    def categories(self) -> tuple[Variable, ...]:
        """The categories of a bill's own row."""
        return tuple(variable for variable in self._own("bills") if variable.kind == "category")

    @cached_property
    def of_lines(self) -> tuple[Variable, ...]:
        """The variables of line items that are summed up, bill by bill."""
        inner = (variable.of or variable for variable in self.variables)
        return tuple(dict.fromkeys(variable for variable in inner if variable.entity == "line_items"))

    def _own(self, entity: str) -> tuple[Variable, ...]:
        variables = self.of_lines if entity == "line_items" else self.variables
        return tuple(variable for variable in variables if not variable.of and variable.entity == entity)

    def read(self, entity: str) -> tuple[Variable, ...]:
        """The variables that the engine reads off an entity's own row."""
        own = (variable for variable in self._own(entity) if variable.kind != "row")
        columns = (inputs_of(variable) if variable.transform else (variable,) for variable in own)
        return tuple(dict.fromkeys(variable for variables in columns for variable in variables))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """How the figures of users are computed."""
        in_bills: dict[Variable | None, list[Variable]] = {}
        for variable in self.variables:
            if variable.of:
                inner = None if variable.of.kind in ("row", "category") else variable.of
                in_bills.setdefault(inner, []).append(variable)
        steps = [
            Step("bills", tuple(variable for variable in self._own("bills") if variable.kind == "row")),
            Step("numbers", self.numbers),
            *(Step("figures" if inner else "counts", tuple(outer)) for inner, outer in in_bills.items()),
            *(Step("different", (variable,)) for variable in self.categories),
            *(Step("all_lines", (variable,)) for variable in self.variables if variable.entity == "line_items"),
        ]
        return tuple(step for step in steps if step.variables)

    @cached_property
    def windows(self) -> dict[Window, tuple[Step, ...]]:
        """The steps of each window."""
        return {
            days: tuple(step for step in self.steps if not variables.keys().isdisjoint(step.variables))
            for days, variables in self.by_window.items()
        }

    @cached_property
    def places(self) -> dict[Window, tuple[list[int], list[int]]]:
        """Of each window its features, by place, and where the figure of each stands among those of its steps."""
        places = {}
        for days, steps in self.windows.items():
            figures = ((variable, name) for step in steps for variable in step.variables for name in step.names)
            place_of = {figure: place for place, figure in enumerate(figures)}
            columns = [place for place, feature in enumerate(self.features) if feature.window_days == days]
            features = [self.features[place] for place in columns]
            places[days] = columns, [place_of[feature.of, feature.aggregation.figure] for feature in features]
        return places
