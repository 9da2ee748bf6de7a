"""Which of the items that nobody has bought yet each user is to like: a ranked list of new items (two towers).

A net reads items by what they are like (text, picture, category, brand, price, whatever else the list says) and users
by what the items that they bought are like (``learning.nets.two_towers``). It learns from items that sell and ranks
those that do not yet: listed, and on no bill, whoever bought. It is judged on what was bought of these in the newest
horizon, full lists by full lists, against popularity by category, which knows what the user buys and what sells, and
not what an item is like. The list of items has no time: at a past moment items are ranked too that were listed later.
The net keeps what items are like, and no user and no item.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Horizon, Needs, Reads, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import ranked_list_model, users_with_a_bill
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject, recall_plot

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame

    from capflow_assets.learning.nets.loop import Course

TOP = 20
CAME = "bought_new"
WORDS = "the new items bought"
# The users of one horizon who bought something new are few, and their recall is noisy.
PATIENCE = 4
LINES, ITEMS, TEXTS, PICTURES = "clean/line_items", "clean/items", "features/text", "features/item_pictures"
LINE_COLUMNS = ("user_id", "item_id", "billed_on", "is_return", "flags")
VECTORS = ("item_id", "embedding", "encoder")


class ColdStartParams(Horizon):
    """What a person may set for the net."""

    moments: int = Field(2, ge=2, le=24, description="How many past as-of moments make the examples.")
    items: int = Field(20, ge=TOP, le=200, description="How many new items a user's list has.")
    size: int = Field(64, ge=4, le=512, description="How many numbers a vector has.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of the numbers that a training step leaves out.")
    epochs: int = Field(12, ge=1, le=1000, description="How often the training sees purchases at most.")
    seconds: float = Field(
        300, gt=0, le=86_400, description="Seconds that the training may take; the best so far counts."
    )
    batch: int = Field(256, ge=8, le=8192, description="Purchases a step of the training, on a CPU.")
    rate: float = Field(0.005, gt=0, le=1, description="Step of the training at its begin.")


class TwoTowerLists:
    """A tower for users and one for items."""

    def __init__(self, params: ColdStartParams) -> None:
        self.params = params
        self.content: dict[str, Any] | None = None
        self.weights = b""
        self.course: dict[str, Any] = {}

    def fit(self, examples: Examples) -> TwoTowerLists:
        """Train on the purchases up to the newest moment; the new items bought after it say which epoch stays."""
        from capflow_assets.learning.part_choice import newest_outcomes

        self._train(examples, newest_outcomes(examples, CAME), self.params.epochs)
        return self

    def refit(self, examples: Examples) -> TwoTowerLists:
        """Train for as many epochs as were best, on the purchases of the newest moment."""
        again = TwoTowerLists(self.params)
        again._train(examples, None, int(self.course.get("best_epoch", self.params.epochs)))
        return again

    def predict(self, examples: Examples) -> pd.DataFrame:
        """A list of ``items`` new items for each user: ``item_id``, ``score`` (higher comes first), ``reasons``.

        Raises:
            ModelError: texts or pictures are read by another encoder than the one that was learned from.
        """
        from capflow_assets.learning.cold_start_lists import liked_rows
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.item_content import Content

        content = Content(**fitted(self.content, "cold_start_recommendations"))
        return liked_rows(self.weights, self._shape, content, examples, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """What is read of items and what says nothing; how the training went, see ``nets.loop.Course``."""
        read = {} if self.content is None else {name: self.content[name] for name in ("texts", "pictures", "left_out")}
        marks = [] if self.content is None else self.content["marks"]
        return {
            **self.params.model_dump(),
            "attributes": sorted({column for column, _ in marks}),
            **read,
            **self.course,
        }

    @property
    def _shape(self) -> tuple[int, float]:
        return self.params.size, self.params.dropout

    def _train(self, examples: Examples, bought: pd.DataFrame | None, epochs: int) -> None:
        from capflow_assets.learning.cold_start import trained_towers
        from capflow_assets.learning.cold_start_lists import Shelf, numbers_of
        from capflow_assets.learning.item_content import learned_content
        from capflow_assets.learning.nets.loop import Plan

        params, shelf = self.params, Shelf.newest(examples)
        content = learned_content(shelf.items, examples.table(TEXTS), examples.table(PICTURES))
        numbers: np.ndarray = numbers_of(content, shelf, examples)
        plan = Plan(params.seed, epochs, params.seconds, PATIENCE, params.batch, params.rate)
        past = shelf.outcomes(bought)
        self.weights, course = trained_towers(shelf.bought, numbers, self._shape, plan, past, TOP)
        self.content, self.course = content.describe(), _told(course)


class PopularByCategory:
    """The baseline: new items of the categories that the user buys most, first those whose brand sells in it."""

    def __init__(self, params: ColdStartParams) -> None:
        self.params = params

    def fit(self, examples: Examples) -> PopularByCategory:
        """There is nothing to keep: what sells is counted at the moment that is answered for."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the net's; the ``score`` is the category's share in what the user bought."""
        from capflow_assets.learning.cold_start_lists import popular_rows

        return popular_rows(examples, self.params.items)

    def parameters(self) -> dict[str, Any]:
        """How long its lists are."""
        return {"items": self.params.items}


def _told(course: Course) -> dict[str, Any]:
    rounded = {"losses": [round(value, 5) for value in course.losses], "recalls": list(course.scores)}
    return {**rounded, "best_epoch": course.best_epoch, "ended": course.ended, "device": course.device}


def outcome(line_items: DataFrame, items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user buys in the horizon of the items that nobody had bought before it.

    One row per known user and item bought in ``(start, end]``: ``user_id``, ``item_id``, ``bought_new`` (1). The item
    is listed and is goods (no postage, no fee), and stands on no bill up to ``start``, of whomever. Returns do not
    count. Since it looks back before the horizon, it is asked for one horizon at a time.
    """
    from pyspark.sql import functions as F

    goods = items.where(F.coalesce(~F.contains("flags", F.lit("not_an_item")), F.lit(True))).select("item_id")
    known = line_items.where(F.col("billed_at") <= F.lit(end))
    sold = known.groupBy("item_id").agg(F.min("billed_at").alias("first_sold_at"))
    new = sold.where(F.col("first_sold_at") > F.lit(start)).join(goods, "item_id", "left_semi").select("item_id")
    rows = known.where((F.col("billed_at") > F.lit(start)) & F.col("user_id").isNotNull() & ~F.col("is_return"))
    pairs = rows.select("user_id", "item_id").distinct().join(new, "item_id", "left_semi")
    return pairs.select("user_id", "item_id", F.lit(1.0).alias(CAME))


RECALL = mean_by_subject(
    f"recall_{TOP}",
    partial(recall_by_subject, top=TOP, observed=CAME),
    True,
    f"Share of {WORDS} among the first {TOP} listed.",
)
NDCG = mean_by_subject(
    f"ndcg_{TOP}",
    partial(ndcg_by_subject, top=TOP, observed=CAME),
    True,
    f"How high {WORDS} stand among the first {TOP}.",
)

MODEL = ranked_list_model(
    question="Which of the items that nobody has bought yet is each user to like?",
    needs=Needs(
        tables=("clean/bills", LINES, ITEMS),
        history_days=90,
        users=100,
        positives=50,
        evidence={"new_items_91d": 10, "unsold_items": 1},
    ),
    subject=Subject("user", ("user_id",), known=users_with_a_bill),
    reads=(
        Reads(LINES, LINE_COLUMNS, "frame"),
        Reads(ITEMS, (), "frame"),
        Reads(TEXTS, VECTORS, "frame"),
        Reads(PICTURES, ("item_id", "embedding", "encoder", "set_aside"), "frame", optional=True),
    ),
    outcome=outcome,
    observed=CAME,
    params=ColdStartParams,
    candidates=(
        Candidate("two towers", TwoTowerLists),
        Candidate("popularity by category", PopularByCategory, is_baseline=True),
    ),
    metric=RECALL,
    second_metric=NDCG,
    plot=partial(recall_plot, observed=CAME, words=WORDS),
)
