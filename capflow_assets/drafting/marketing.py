"""The tables of a draft that tell what users were sent and wrote: messages, campaigns, redemptions, reviews. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from capflow_assets.drafting import campaigns, messages, redemptions, reviews
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import TableDraft
from capflow_assets.drafting.roles import Roles
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import user_id

# By table, how likely a sample is it; in the order in which they choose.
LIKENESS: Mapping[str, Callable[[Meanings], float]] = {
    "reviews": reviews.likeness,
    "redemptions": redemptions.likeness,
    "messages": messages.likeness,
    "campaigns": campaigns.likeness,
}
WITHOUT_BILLS = "no bills are mapped: features of users, and the models that read them, need bills or their lines"


def is_of_marketing(sample: Sample) -> bool:
    """Whether a sample looks like one of the tables of marketing."""
    meanings = Meanings(sample)
    return bool(sample.rows) and any(likeness(meanings) > 0 for likeness in LIKENESS.values())


def marketing_tables(known: Roles, questions: list[str]) -> list[TableDraft]:
    """The tables of marketing that the samples give; a sample that lacks what its table needs is left out by name."""
    of_bills = known.bills or known.lines
    by_email = of_bills is not None and user_id(of_bills)[1] is not None
    drafts: dict[str, TableDraft] = {}
    for name, meanings in list(known.marketing.items()):
        table, why = _table(name, meanings, drafts.get("messages"), known, questions, by_email=by_email)
        if table is None:
            known.others.append((meanings, why))
            del known.marketing[name]
            continue
        drafts[name] = table
        _ask_whether_users_meet(table, meanings, of_bills, questions)
    return list(drafts.values())


def _table(
    name: str, meanings: Meanings, of_messages: TableDraft | None, known: Roles, questions: list[str], *, by_email: bool
) -> tuple[TableDraft | None, str]:
    if name == "messages":
        return messages.messages(meanings, questions, by_email=by_email)
    if name == "reviews":
        return reviews.reviews(meanings, questions, by_email=by_email)
    if name == "redemptions":
        return redemptions.redemptions(meanings, questions, by_email=by_email), "no column says who used a coupon"
    sent = known.marketing["messages"].sample if of_messages is not None else None
    return campaigns.campaigns(meanings, sent, of_messages, questions), ""


def _ask_whether_users_meet(
    table: TableDraft, meanings: Meanings, of_bills: Meanings | None, questions: list[str]
) -> None:
    """Ask where no user of a table is one of the bills: the two number people otherwise."""
    own, theirs = table.columns.get("user_id"), user_id(of_bills)[0] if of_bills is not None else None
    if own is None or theirs is None or of_bills is None:
        return
    first, second = meanings.sample.columns.get(str(own.value)), of_bills.sample.columns.get(str(theirs.value))
    is_other = (first is None) != (second is None)
    if first is not None and second is not None:
        is_other = not {str(value) for value in first.counts} & {str(value) for value in second.counts}
    if is_other:
        questions.append(
            f"{table.name}: no user in {own.value} is one of the bills' {theirs.value}: do they meet at all?"
        )
