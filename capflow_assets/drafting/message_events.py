"""A log of what became of messages, an event a row: each message in one row, by a query. Pure."""

from __future__ import annotations

from capflow_assets.drafting import words as w
from capflow_assets.drafting.export_columns import add_times, column_named
from capflow_assets.drafting.parts import Guess, TableDraft, quoted, words_in
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import drafted
from capflow_assets.errors import listed
from capflow_assets.learning.actions import words_of_channels

EVENTS = "event event_type event_name metric metric_name action activity activity_type status ereignis"
MESSAGES = "message_id send_id dispatch_id delivery_id"
_OF_EVENTS = {
    "clicked_at": "click clicked clicks",
    "opened_at": "open opened opens",
    "sent_at": "sent send sends delivered delivery received receive processed",
}
OF_EVENTS = {to: frozenset(known.split()) for to, known in _OF_EVENTS.items()}
_NO_CONTACT = "failed failure fail bounce bounced drop dropped unsubscribe unsubscribed spam not"
NO_CONTACT = frozenset(_NO_CONTACT.split())
MOST_EVENTS = 60


def event_column(sample: Sample) -> str:
    """The column that says what became of a message; blank where it has not two of sent, opened and clicked."""
    names = (column_named(sample, name, ("text",)) for name in EVENTS.split())
    return next((name for name in names if name and len(_words(sample, name)) > 1), "")


def _words(sample: Sample, name: str) -> dict[str, list[str]]:
    """The words of a column of events by the time that they are of, sent first."""
    column = sample.columns[name]
    words = sorted(str(word) for word in column.counts) if len(column.counts) <= MOST_EVENTS else []
    by_time: dict[str, list[str]] = {}
    for word in words:
        tokens = set(w.tokens(word))
        to = next((to for to, known in OF_EVENTS.items() if known & tokens), "")
        if to and not tokens & NO_CONTACT:
            by_time.setdefault(to, []).append(word)
    return {to: by_time[to] for to in ("sent_at", "opened_at", "clicked_at") if to in by_time}


def add(table: TableDraft, sample: Sample, columns: tuple[str, str, str], questions: list[str]) -> None:
    """Make one row of each message's events: of ``columns``, that of the event, of its time, and of the channel.

    Where the letters of times are not in their order, those of sending alone are mapped.
    """
    event, time, channel = columns
    words = _words(sample, event)
    others = sorted({str(word) for word in sample.columns[event].counts} - {one for of in words.values() for one in of})
    if others:
        table.notes.append(f"rows of {event} {listed(map(repr, others), most=6)} are left out")
    if channel:
        table.columns["channel"] = Guess(channel)
    elif one := _one_channel(words):
        table.columns["channel"] = Guess(f"'{one}'", f"by the words of {event}")
    else:
        questions.append(f"{sample.name}: by which channel was a message sent? No column says; channel is not mapped")
    if not time:
        questions.append(f"{sample.name}: when was a message sent? No column of times is known; none is mapped")
        table.where = Guess(f"{quoted(event)} in ({words_in(words.get('sent_at', []))})", "messages alone")
        return
    moment = sample.columns[time]
    is_sorted = not moment.is_text or moment.formats == ("iso",)
    if not is_sorted:
        questions.append(f"{sample.name}: {time} is no ISO time; opened_at and clicked_at are not mapped")
        add_times(table, sample, [("sent_at", time)], questions)
        table.where = Guess(f"{quoted(event)} in ({words_in(words.get('sent_at', []))})", "messages alone")
        return
    _by_query(table, sample, words, event, time, channel)
    if not column_named(sample, MESSAGES):
        questions.append(f"{sample.name}: is a user sent a campaign once? No column numbers messages; one row each")


def _one_channel(words: dict[str, list[str]]) -> str:
    known = words_of_channels()
    named = {known[token] for of in words.values() for word in of for token in w.tokens(word) if token in known}
    return named.pop() if len(named) == 1 else ""


def _by_query(
    table: TableDraft, sample: Sample, words: dict[str, list[str]], event: str, time: str, channel: str
) -> None:
    """Group events by the columns that tell messages apart; the first of each kind is its time."""
    keys = [str(table.columns["campaign_id"].value), str(table.columns["user_id"].value)]
    named = {"campaign_id": quoted(keys[0]), "user_id": keys[1] if "(" in keys[1] else quoted(keys[1])}
    named |= {"channel": quoted(channel)} if channel else {}
    message = column_named(sample, MESSAGES)
    groups = [*named.values(), *([quoted(message)] if message else [])]
    firsts = [f"min(case when {quoted(event)} in ({words_in(of)}) then {quoted(time)} end) as {to}"
              for to, of in words.items()]  # fmt: skip
    chosen = ",\n  ".join([*(f"{column} as {to}" for to, column in named.items()), *firsts])
    every = words_in([one for of in words.values() for one in of])
    text = f"select {chosen}\nfrom events\nwhere {quoted(event)} in ({every})\ngroup by {', '.join(groups)}"
    why = f"{event} has a row for each event of a message"
    table.query = Guess(text, why)
    table.inputs = {"events": drafted("events", sample)}
    column = sample.columns[time]
    if column.kind == "number" and column.count_format:
        table.inputs["events"].options["timestamp_format"] = Guess(column.count_format)
    table.columns |= {to: Guess(to) for to in (*named, *words)}
