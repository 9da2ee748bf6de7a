"""How much more of an item each user buys when its price falls, with an interval; and by category.

Prices of an item move over time. How its pieces follow, week effects out, is the elasticity of its category, shrunk to
that of all (``learning.category_elasticity``). Which of the prices a user bought at, against what is usual of the same
items, says how far the user is from that, shrunk to nobody (``learning.user_elasticity``). Both say what was, not what
a price would do that nobody has tried.

It is judged by what it means for the next weeks: who goes by the price pays less than others for the same items.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import (
    Answer,
    Candidate,
    Column,
    Examples,
    Horizon,
    Metric,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.objectives.ranked_list import users_with_a_bill

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

    from capflow_assets.learning.price_choices import Choices

LINES, ITEMS = "clean/line_items", "clean/items"
LINE_COLUMNS = ("user_id", "item_id", "store_id", "billed_on", "quantity", "amount", "is_return", "flags")
# An item of fewer rows in the horizon has no price that is usual of it.
FEWEST_ROWS = 10


class PriceSensitivityParams(Horizon):
    """What a person may set for the sensitivity to prices."""

    horizon_days: int = Field(91, ge=7, le=730, description="Local days after the as-of moment that are looked at.")
    weeks: int = Field(104, ge=12, le=520, description="Weeks of line items that are learned from.")


class PriceSensitivity:
    """The elasticity of each category with its error, and how much users differ, as they were at the moment of fit."""

    is_personal = True

    def __init__(self, params: PriceSensitivityParams) -> None:
        self.params = params
        self.categories: dict[str, list[float]] | None = None
        self.overall: list[float] = []
        self.law: list[float] = []
        self.described: dict[str, dict[str, Any]] = {}

    def fit(self, examples: Examples) -> PriceSensitivity:
        """Learn from the line items up to the moment.

        Raises ``EvidenceError`` where no item that sells week by week has had more than one price.
        """
        from capflow_assets.learning.category_elasticity import category_elasticities, item_prices
        from capflow_assets.learning.user_elasticity import user_elasticities

        choices = _choices(examples, self.params.weeks)
        learned = category_elasticities(choices)
        if not learned.is_seen.any():
            raise EvidenceError(
                "No elasticity can be seen",
                expected="items that sell in most weeks, at more than one price",
                came=f"{len(choices.items)} items, none of them such",
                do="wait for prices to move, or send amounts after discounts",
            )
        value, error = learned.shrunk.value, learned.shrunk.error
        self.categories = {str(name): [float(value[n]), float(error[n])] for n, name in enumerate(learned.names)}
        self.overall = [float(learned.shrunk.mean), float(error.mean())]
        self.law = list(user_elasticities(choices, item_prices(choices, value)).law)
        self.described = learned.describe()
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """One row per user: ``score``, the elasticity and its interval, the strongest category, what is saved by it."""
        import numpy as np

        from capflow_assets.learning.category_elasticity import CERTAINTY_95, item_prices
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.price_answers import ALL, frame_of, personal_answers
        from capflow_assets.learning.user_elasticity import user_elasticities

        categories, index = fitted(self.categories, "price_sensitivity"), examples.columns.index
        if not self.is_personal:
            mean, error = (np.full(len(index), value) for value in self.overall)
            answers = frame_of(index, mean, CERTAINTY_95 * error)
            return answers.assign(strongest_category=None, expected_saving=0.0, reasons=ALL)
        choices = _choices(examples, self.params.weeks)
        slope, error = (
            np.array([categories.get(str(name), self.overall) for name in choices.categories]).reshape(-1, 2).T
        )
        users = user_elasticities(choices, item_prices(choices, slope), (self.law[0], self.law[1]))
        return personal_answers(index, choices, users, slope, error)

    def parameters(self) -> dict[str, Any]:
        """The largest categories' elasticities with 95 % intervals, unshrunk beside, and how much users differ."""
        return {
            **self.params.model_dump(),
            "categories": self.described,
            "overall": self.overall,
            "users_differ_by": self.law[:1],
        }


class OneElasticity(PriceSensitivity):
    """The baseline: all users go by the price as all categories do together, so nobody saves more than others."""

    is_personal = False


def _choices(examples: Examples, weeks: int) -> Choices:
    """The line items of the last so many weeks as choices at a price."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.habits import today_of
    from capflow_assets.learning.price_choices import choices_of

    lines, items = examples.table(LINES), examples.table(ITEMS)
    # Days and flags repeat: each is read once.
    day, days = pd.factorize(lines["billed_on"])
    flag, flags = pd.factorize(lines["flags"].fillna(""))
    age = (today_of(examples, -1) - np.asarray(days).astype("datetime64[D]")).astype("int64")[day]
    is_return = lines["is_return"].to_numpy(dtype=bool)
    is_item = np.array(["not_an_item" not in str(text) for text in flags], dtype=bool)[flag]
    kept = (age >= 0) & (age < 7 * weeks) & ~is_return & is_item
    return choices_of(lines[kept], items.set_index("item_id")["category"], age[kept] // 7)


def outcome(line_items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """How much less than all others each user pays for the same items in the horizon.

    One row per known user with priced pieces in ``(start, end]``: ``user_id``, ``pieces``, and ``saving``: the mean
    over pieces of the logarithm of what is usual of the item in the horizon over what was paid, each at most 1, less
    that of all at the store. Returns and what is no item do not count, nor do items of fewer than 10 rows.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    from capflow_assets.learning.price_choices import FURTHEST, MOST_PIECES

    is_within = (F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end))
    is_item = F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))
    units = F.coalesce("quantity", F.lit(1.0))
    rows = line_items.where(is_within & ~F.col("is_return") & is_item & (F.col("amount") > 0) & (units > 0))
    is_count = (units == F.floor(units)) & (units <= MOST_PIECES)
    pieces = F.when(is_count, units).otherwise(1.0)
    price = F.log(F.col("amount") / units)
    rows = rows.select("user_id", "store_id", "item_id", pieces.alias("pieces"), price.alias("price"))

    def mean(value: Expression, group: str) -> Expression:
        of_group = Window.partitionBy(group)
        return F.sum(F.col("pieces") * value).over(of_group) / F.sum("pieces").over(of_group)

    count = F.count(F.lit(1)).over(Window.partitionBy("item_id"))
    rows = rows.withColumns({"usual": mean(F.col("price"), "item_id"), "rows": count}).where(
        F.col("rows") >= FEWEST_ROWS
    )
    saved = F.least(F.greatest(F.col("usual") - F.col("price"), F.lit(-FURTHEST)), F.lit(FURTHEST))
    rows = rows.withColumn("saved", saved)
    rows = rows.withColumn("saved", F.col("saved") - mean(F.col("saved"), "store_id")).where("user_id is not null")
    saving = F.sum(F.col("pieces") * F.col("saved")) / F.sum("pieces")
    return rows.groupBy("user_id").agg(F.sum("pieces").alias("pieces"), saving.alias("saving"))


def saving_explained(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_explained

    return saving_explained(outcomes, answers)


def saving_counted(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Any:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_counted

    return saving_counted(outcomes, answers)


def saving_slope(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """See ``learning.price_answers``."""
    from capflow_assets.learning.price_answers import saving_slope

    return saving_slope(outcomes, answers)


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What tenths of the users saved against others, and the elasticity of users by their strongest category."""
    from capflow_assets.learning.price_plot import price_plot

    return price_plot(outcomes, answers)


ANSWER = (
    Column("elasticity", "double", "By how many % more the user buys of what costs 1 % more; mostly below 0.", True),
    Column("elasticity_low", "double", "The lower end of its 95 % interval.", True),
    Column("elasticity_high", "double", "The upper end of its 95 % interval.", True),
    Column("strongest_category", "string", "Of the user's categories the one that goes by the price most."),
    Column("expected_saving", "double", "Share by which the user will pay less than others for the same items.", True),
)
MODEL = Model(
    question="How much more does each user buy of an item when its price falls?",
    family="price",
    needs=Needs(tables=("clean/bills", LINES, ITEMS), history_days=182, users=100, positives=50),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(Reads(LINES, LINE_COLUMNS, "frame"), Reads(ITEMS, ("item_id", "category"), "frame")),
    outcome=Outcome(outcome, ("pieces", "saving"), absent="unknown"),
    answer=Answer(columns=ANSWER),
    objective="effect",
    params=PriceSensitivityParams,
    candidates=(
        Candidate("elasticities by user and category", PriceSensitivity),
        Candidate("one elasticity for all", OneElasticity, is_baseline=True),
    ),
    metric=Metric(
        "saving_explained",
        saving_explained,
        True,
        "Share explained of what users saved against others who bought the same items, by pieces.",
        counted=saving_counted,
    ),
    rules=(Rule("saving_slope", saving_slope, "what was saved for each unit expected", otherwise="tell"),),
    plot=plot,
    fitted="now",
)
