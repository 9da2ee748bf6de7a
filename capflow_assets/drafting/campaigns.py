"""The list of campaigns: when each began and ended, and by which of its columns messages name it. Pure."""

from __future__ import annotations

from capflow_assets.drafting import words as w
from capflow_assets.drafting.export_columns import CAMPAIGNS, add_times, column_named, user_of
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import drafted

NAMED = frozenset({"campaign", "campaigns", "kampagne", "kampagnen", "mailings"})
BARE = "id key code"
NAMES = "campaign_name name title campaign_title kampagnenname"
KINDS = "campaign_type kind type campaign_kind kategorie"
STARTS = (
    "starts_at start_at started_at start_date start start_time begins_at begin_date launch_date launched_at send_time "
    "sent_at send_date scheduled_at startdatum beginn"
)
ENDS = "ends_at end_at ended_at end_date end end_time finished_at enddatum ende"


def likeness(meanings: Meanings) -> float:
    """Above 0 where a sample has one row per campaign, with its beginning."""
    sample = meanings.sample
    has_start = column_named(sample, STARTS, ("time",))
    is_named = bool(NAMED & set(w.tokens(sample.name)))
    if sample.array or not has_start or not _keys(sample) or meanings.best("bill_id") or user_of(meanings)[0]:
        return 0
    return 1 + is_named if is_named or column_named(sample, ENDS, ("time",)) else 0


def campaigns(
    meanings: Meanings, of_messages: Sample | None, messages: TableDraft | None, questions: list[str]
) -> TableDraft:
    """The list of campaigns; its key is the column whose values messages name, where these are sent as well."""
    sample = meanings.sample
    table = drafted("campaigns", sample)
    keys = _keys(sample)
    key, is_shared = keys[0], True
    named = str(messages.columns["campaign_id"].value) if messages else ""
    if of_messages is not None and named in of_messages.columns:
        values = {str(value) for value in of_messages.columns[named].counts}
        shared = {one: len(values & {str(value) for value in sample.columns[one].counts}) for one in keys}
        key = max(keys, key=lambda one: shared[one])
        is_shared = shared[key] > 0
    if not is_shared:
        questions.append(f"{sample.name}: no campaign of messages is one of {key}: by which column do they meet?")
    table.columns["campaign_id"] = Guess(key, "as messages name it" if messages and is_shared else "", not is_shared)
    for to, names in (("name", NAMES), ("kind", KINDS)):
        if name := column_named(sample, names, ("text",)):
            table.columns[to] = Guess(name)
    times = [("starts_at", column_named(sample, STARTS, ("time",))), ("ends_at", column_named(sample, ENDS, ("time",)))]
    add_times(table, sample, [(to, name) for to, name in times if name], questions)
    return table


def _keys(sample: Sample) -> list[str]:
    """The columns that tell campaigns apart, the likeliest first."""
    bare = f" {BARE} name" if NAMED & set(w.tokens(sample.name)) else ""
    names = [column_named(sample, name) for name in f"{CAMPAIGNS}{bare}".split()]
    return list(dict.fromkeys(name for name in names if name and sample.columns[name].is_key))
