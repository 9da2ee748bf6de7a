"""Every recommender of the grocer's households, ranked in full, with the last basket left out: recall@10 and NDCG@10.

Each household's last basket is what is to be listed; all other baskets are known. What a candidate chooses by outcomes
it chooses by the basket before that, of which it then knows nothing. As is usual with this protocol, what others bought
after a household's last basket is known, which flatters what is popular lately most. No negatives are sampled: each
list is of all items. First all items of the basket are judged, then those alone that the household had never bought.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.contract import Examples

ZONE, TOP = "America/New_York", 10
LINES, USER_ITEM = "clean/line_items", "features/user_item"
HALF_LIFE_DAYS = 90


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is known of each household before a basket, and that basket: index ``user_id``, columns of the outcomes."""

    known: Examples
    basket: pd.DataFrame


def run() -> None:
    """Print a line for each candidate: both figures with their 95 % intervals, of all items and of new ones."""
    lines = _grocers_lines()
    test = left_out(lines)
    train = left_out(_without_last_baskets(lines))
    for words, label in (("all items", "bought"), ("new items", "bought_new")):
        judged = test.basket[test.basket[label] > 0]
        print(  # noqa: T201
            f"recommenders: {words} of the last basket: {judged.index.nunique():,} households, "
            f"{lines['item_id'].nunique():,} items"
        )
        for name, lists in _lists(train, test):
            listed = lists[lists["is_new"]] if label == "bought_new" and "is_new" in lists else lists
            if label == "bought_new" and "is_new" not in lists:
                listed = _without(lists, test)
            print(f"recommenders:   {name}: {_figures(judged, listed, label)}", flush=True)  # noqa: T201


def left_out(lines: pd.DataFrame) -> LeftOut:
    """The last basket of each household that has an earlier one, and what is known before it."""
    import pandas as pd

    from capflow_assets.contract import Examples

    last = lines.groupby("user_id")["billed_on"].transform("max")
    known, basket = lines[lines["billed_on"] < last], lines[lines["billed_on"] == last]
    pairs = basket[["user_id", "item_id"]].drop_duplicates()
    pairs = pairs[pairs["user_id"].isin(known["user_id"])]
    before = pd.MultiIndex.from_frame(known[["user_id", "item_id"]].drop_duplicates())
    is_new = ~pd.MultiIndex.from_frame(pairs).isin(before)
    outcomes = pairs.assign(bought=1.0, bought_new=is_new.astype(float)).set_index("user_id")
    users = pd.DataFrame(index=pd.Index(sorted(outcomes.index.unique()), name="user_id"))
    newest = pd.Timestamp(max(lines["billed_on"]), tz=ZONE) + pd.Timedelta(hours=23)
    tables = {LINES: (known,), USER_ITEM: (_user_item(known),)}
    return LeftOut(Examples(users, outcomes, tables, (newest.to_pydatetime(),), ZONE), outcomes)


def _lists(train: LeftOut, test: LeftOut) -> list[tuple[str, pd.DataFrame]]:
    """The lists of each candidate of both models, then popularity and item-kNN over all items."""
    from capflow_assets.models import item_recommendations, next_basket

    params: dict[Any, dict[str, Any]] = {next_basket: {"items": 200}, item_recommendations: {}}
    rows = []
    for module, more in params.items():
        model: Any = module.MODEL
        for candidate in model.candidates:
            estimator = candidate.make(model.params(**more)).fit(train.known)
            estimator = estimator.refit(test.known) if hasattr(estimator, "refit") else estimator
            name = f"{module.__name__.rpartition('.')[2]}, {candidate.name}"
            rows.append((name, estimator.predict(test.known)))
    return [*rows, ("popularity", _popularity(test)), ("item-kNN over all items", _item_knn(test))]


def _figures(judged: pd.DataFrame, lists: pd.DataFrame, label: str) -> str:
    from functools import partial

    from capflow_assets.learning.intervals import score_with_interval
    from capflow_assets.learning.metrics import mean_by_subject
    from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject

    kinds = {"recall@10": recall_by_subject, "NDCG@10": ndcg_by_subject}
    metrics = [mean_by_subject(name, partial(of, top=TOP, observed=label), True, "") for name, of in kinds.items()]
    return ", ".join(f"{metric.name} {score_with_interval(metric, judged, lists, seed=0)}" for metric in metrics)


def _popularity(test: LeftOut) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    users, known = test.known.columns.index, test.known.table(USER_ITEM)
    counts = known.groupby("item_id").size().sort_values(ascending=False, kind="stable").head(TOP * 20)
    columns = {"item_id": np.tile(counts.index, len(users)), "score": np.tile(counts.to_numpy(float), len(users))}
    return pd.DataFrame(columns, index=users.repeat(len(counts)))


def _item_knn(test: LeftOut) -> pd.DataFrame:
    """What is similar to the household's own items, these among it."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.item_space import in_learned_items, item_space
    from capflow_assets.learning.user_items import user_items_of

    table = test.known.table(USER_ITEM)
    known, space = user_items_of(table), item_space(table, seed=0, has_factors=False)
    own = in_learned_items(known.purchases, space.numbers(known.items), len(space.items))
    frames = []
    for first in range(0, own.shape[0], 256):
        scores = (own[first : first + 256] @ space.similar).toarray()
        places = np.argsort(-scores, axis=1, kind="stable")[:, : TOP * 20]
        values = np.take_along_axis(scores, places, axis=1)
        users = pd.Index(known.users[first : first + 256], name="user_id").repeat(places.shape[1])
        frames.append(pd.DataFrame({"item_id": space.items[places.ravel()], "score": values.ravel()}, users))
    return pd.concat(frames)


def _without(lists: pd.DataFrame, test: LeftOut) -> pd.DataFrame:
    """The lists without what the household had bought before."""
    import pandas as pd

    before = pd.MultiIndex.from_frame(test.known.table(USER_ITEM)[["user_id", "item_id"]])
    return lists[~pd.MultiIndex.from_arrays([lists.index, lists["item_id"]]).isin(before)]


def _user_item(lines: pd.DataFrame) -> pd.DataFrame:
    """What ``features/user_item`` would say of the lines on the newest day among them."""
    import pandas as pd

    days = lines[["user_id", "item_id", "billed_on"]].drop_duplicates()
    ago = (pd.Timestamp(max(days["billed_on"])) - pd.to_datetime(days["billed_on"])).dt.days
    days = days.assign(ago=ago, weight=2.0 ** (-ago / HALF_LIFE_DAYS))
    pairs = days.groupby(["user_id", "item_id"]).agg(
        purchases=("ago", "size"), decayed_purchases=("weight", "sum"), last_bought_days=("ago", "min")
    )
    return pairs.reset_index()


def _without_last_baskets(lines: pd.DataFrame) -> pd.DataFrame:
    return lines[lines["billed_on"] < lines.groupby("user_id")["billed_on"].transform("max")]


def _grocers_lines() -> pd.DataFrame:
    from capflow_assets.learning.baskets import LINE_COLUMNS
    from capflow_assets_doubles.engines import sail_session
    from capflow_assets_doubles.real_customers import demo_customer, prepare

    with tempfile.TemporaryDirectory() as place, sail_session() as spark:
        prepare(spark, demo_customer("grocer"), Path(place))
        lines = spark.read.parquet(str(Path(place) / LINES)).select(*LINE_COLUMNS).toPandas()
    is_item = ~lines["flags"].str.contains("not_an_item")
    return lines[lines["user_id"].notna() & ~lines["is_return"] & is_item]
