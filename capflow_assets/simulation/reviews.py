"""What users write of what they bought: a sentiment and a topic of each review are planted, in three languages.

Some reviews come with stars, most of which agree with the sentiment; the others with none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.review_phrases import ASIDES, LANGUAGES, PHRASES, TOPICS
from capflow_assets.simulation.streams import stream

COLUMNS = ("review_id", "text", "written_at", "item_id", "store_id", "user_id", "rating")
TRUTH = ("review_id", "is_positive", "topic", "language")
LANGUAGE_SHARES = (0.5, 0.3, 0.2)
POSITIVE_SHARE = 0.65
# Of two phrases one may say the other thing; stars of a few are between.
AGREES, UNDECIDED = 0.9, 0.1
LATEST_DAYS = 10


def reviews(brand: Brand, line_items: pd.DataFrame, end: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reviews in the order of time, and what only the maker knows of each; empty where the brand has none.

    The first has the columns of ``raw/reviews``; ``rating`` is 1 to 5 stars, null where none were given.
    """
    lots = stream(brand.seed, "reviews")
    sold = line_items[line_items["user_id"].notna() & (line_items["amount"] > 0)]
    if not brand.reviews or sold.empty:
        return pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame(columns=list(TRUTH))
    chosen = sold.iloc[np.sort(lots.choice(len(sold), min(brand.reviews, len(sold)), replace=False))]
    waits = pd.to_timedelta(lots.uniform(0, LATEST_DAYS * 86_400, len(chosen)).round(), unit="s").as_unit("us")
    written_at = chosen["billed_at"].reset_index(drop=True) + waits
    is_in_time = (written_at < end).to_numpy()
    chosen, written_at = chosen[is_in_time].reset_index(drop=True), written_at[is_in_time].reset_index(drop=True)
    count = len(chosen)
    ids = [f"R{number + 1:06d}" for number in range(count)]
    language = np.array(LANGUAGES)[lots.choice(len(LANGUAGES), count, p=LANGUAGE_SHARES)]
    topic = np.array(TOPICS)[lots.integers(0, len(TOPICS), count)]
    is_positive = lots.random(count) < POSITIVE_SHARE
    texts = [_text(lots, *row) for row in zip(language, topic, is_positive, strict=True)]
    stars = np.where(is_positive, lots.integers(4, 6, count), lots.integers(1, 3, count)).astype(float)
    stars[lots.random(count) < UNDECIDED] = 3.0
    stars[lots.random(count) >= brand.reviews_rated_pct / 100] = np.nan
    frame = chosen[["item_id", "store_id", "user_id"]].assign(
        review_id=ids, text=texts, written_at=written_at, rating=stars
    )
    order = np.argsort(written_at.to_numpy(), kind="stable")
    truth = pd.DataFrame({"review_id": ids, "is_positive": is_positive, "topic": topic, "language": language})
    return frame[list(COLUMNS)].take(order).reset_index(drop=True), truth


def _text(lots: np.random.Generator, language: str, topic: str, is_positive: bool) -> str:
    """Two phrases of the topic, the first of them of the sentiment, and perhaps an aside."""
    praise, complaint = PHRASES[(language, topic)]
    kinds = [is_positive, is_positive if lots.random() < AGREES else not is_positive]
    said = [str(lots.choice(praise if kind else complaint)) for kind in kinds]
    if lots.random() < 0.3:
        said.append(str(lots.choice(ASIDES[language])))
    text = ", ".join(dict.fromkeys(said))
    return f"{text[0].upper()}{text[1:]}."
