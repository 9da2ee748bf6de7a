"""What users wrote of items and stores: the review's number, its text and its stars. Pure."""

from __future__ import annotations

from capflow_assets.drafting import words as w
from capflow_assets.drafting.export_columns import add_times, column_named, user_of
from capflow_assets.drafting.meanings import NUMBERS, Meanings
from capflow_assets.drafting.parts import Guess, TableDraft
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import drafted

NAMED = frozenset({"review", "reviews", "ratings", "bewertung", "bewertungen", "avis", "opiniones", "recensioni"})
IDS = "review_id bewertung_id"
TEXTS = "review_text text review review_body body content comment review_content review_comment_message kommentar"
RATINGS = "rating stars review_rating star_rating review_score score sterne note"
TIMES = (
    "written_at review_date reviewed_at review_creation_date submitted_at published_at created_at date created "
    "timestamp datum"
)


def likeness(meanings: Meanings) -> float:
    """Above 0 where a sample has a text or stars of each row, and its name or a column says review."""
    sample = meanings.sample
    is_named = bool(NAMED & set(w.tokens(sample.name))) or bool(column_named(sample, IDS))
    content = column_named(sample, TEXTS, ("text",)) or column_named(sample, RATINGS, NUMBERS)
    return 1 if is_named and content and not sample.array else 0


def reviews(meanings: Meanings, questions: list[str], *, by_email: bool) -> tuple[TableDraft | None, str]:
    """The table of reviews, or why there is none."""
    sample = meanings.sample
    key = column_named(sample, f"{IDS} id")
    if not key or not sample.columns[key].is_key:
        questions.append(f"{sample.name}: which column numbers a review? None is another one in each row")
        return None, "it looks like reviews, and no column tells them apart"
    table = drafted("reviews", sample)
    table.columns["review_id"] = Guess(key)
    user, table.personal = user_of(meanings, by_email=by_email)
    columns = {"text": column_named(sample, TEXTS, ("text",)), "rating": column_named(sample, RATINGS, NUMBERS),
               "item_id": _other(meanings, "item_id", key), "store_id": _other(meanings, "store_id", key)}  # fmt: skip
    table.columns |= {to: Guess(name) for to, name in columns.items() if name}
    if user is not None:
        table.columns["user_id"] = user
    if time := column_named(sample, TIMES, ("time",)):
        add_times(table, sample, [("written_at", time)], questions)
    return table, ""


def _other(meanings: Meanings, concept: str, key: str) -> str:
    return next((name for name in meanings.all(concept) if name != key and not _is_text(meanings.sample, name)), "")


def _is_text(sample: Sample, name: str) -> bool:
    return name == column_named(sample, TEXTS, ("text",))
