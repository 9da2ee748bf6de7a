"""Columns by the names that marketing tools give them, for tables that general words do not tell apart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import IDS, Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.profiles import Column
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import user_id
from capflow_assets.drafting.times import column_moment

USERS = (
    "user_id profile_id external_user_id external_id customer_id subscriber_id recipient_id contact_id member_id "
    "user customer profile recipient subscriber contact member kunde kunden_id kundennummer empfaenger"
)
EMAILS = "email email_address recipient_email e_mail to_email recipient subscriber to_address"
CAMPAIGNS = (
    "campaign_id campaign campaign_key campaign_name campaign_title canvas_id canvas_name flow_id flow_name mailing_id "
    "mailing mailing_name newsletter_id newsletter kampagne_id kampagnen_id kampagne kampagnenname"
)


def plain(name: str) -> str:
    """A column's own name, small and joined by ``_``.

    >>> plain("Campaign Title"), plain("profileId"), plain("event.Sent At")
    ('campaign_title', 'profile_id', 'sent_at')
    """
    return "_".join(w.tokens(name.split(".")[-1]))


def column_named(sample: Sample, names: str, kinds: Collection[str] = IDS) -> str:
    """The column of the first of some names whose values are of the kinds; blank where there is none."""
    of_name = {plain(name): name for name in reversed(sample.names)}
    columns = (of_name[name] for name in names.split() if name in of_name)
    return next((name for name in columns if _is_of(sample.columns[name], kinds)), "")


def _is_of(column: Column, kinds: Collection[str]) -> bool:
    is_count = column.kind == "number" and bool(column.count_format)
    return column.kind in kinds or ("time" in kinds and is_count)


def user_of(meanings: Meanings, *, by_email: bool = False) -> tuple[Guess | None, Guess | None]:
    """Which user a row is of, and the columns to be hashed; ``by_email`` where bills know users by their address."""
    sample = meanings.sample
    email = column_named(sample, EMAILS, ("text",))
    is_address = bool(email) and _is_of_addresses(sample.columns[email])
    name = column_named(sample, USERS)
    if name and not _is_of_addresses(sample.columns[name]) and not (by_email and is_address):
        return Guess(name), None
    if is_address:
        hashed = Guess(["user_id"], "the address is hashed: it names a person")
        return Guess(f"lower({quoted(email)})", "users are known by their e-mail address"), hashed
    return user_id(meanings)


def _is_of_addresses(column: Column) -> bool:
    texts = [str(value) for value in column.judged[:200]]
    return bool(texts) and sum("@" in text for text in texts) > 0.5 * len(texts)


def add_times(table: TableDraft, sample: Sample, columns: Sequence[tuple[str, str]], questions: list[str]) -> None:
    """Map columns of times, which are all read by the options of the first; one that is written otherwise is asked."""
    options: dict[str, Guess] | None = None
    for to, name in columns:
        time = column_moment(sample, name)
        forms = {key: guess.value for key, guess in time.options.items()}
        if options is not None and forms != {key: guess.value for key, guess in options.items()}:
            questions.append(f"{sample.name}: {name} is written otherwise than {columns[0][1]}; {to} is not mapped")
            continue
        options = time.options
        table.columns[to] = time.value
        questions += time.questions
    table.options |= options or {}
