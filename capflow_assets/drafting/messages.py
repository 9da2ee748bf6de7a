"""Who was sent what, and when it was opened: a table of messages, one row each, or a log of their events. Pure."""

from __future__ import annotations

from capflow_assets.drafting import message_events
from capflow_assets.drafting import words as w
from capflow_assets.drafting.export_columns import CAMPAIGNS, add_times, column_named, user_of
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted, words_in
from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.tables import drafted
from capflow_assets.learning.actions import words_of_channels

_NAMED = (
    "message messages sends send emails mailings newsletters email_events campaign_sends nachrichten sms push "
    "notifications contact_history campaign_members campaign_recipients recipients"
)
NAMED = frozenset(_NAMED.split())
SENT = "sent_at send_time sent_time sent_on send_date sent_date sent time_sent date_sent versendet_am gesendet_am"
DELIVERED = "delivered_at delivery_time delivered received_at received_on zugestellt_am"
ANY_TIME = "timestamp datetime time event_time occurred_at created_at date created"
OPENED = "opened_at first_opened_at open_time first_open_time first_open opened_on opened date_opened geoeffnet_am"
CLICKED = "clicked_at first_clicked_at click_time first_click_time first_click clicked_on clicked date_clicked"
FLAGS = {
    "opened_at": "opened is_opened has_opened opens open_count total_opens unique_opens",
    "clicked_at": "clicked is_clicked has_clicked clicks click_count total_clicks unique_clicks",
}
CHANNELS = "channel message_channel send_channel medium kanal message_type type message_medium"
CONTROLS = (
    "is_control control in_control control_group in_control_group is_holdout holdout in_holdout held_out is_held_out"
)
GROUPS = "group test_group experiment_group variant variation arm treatment"
_CONTROL = "control holdout held_out control_group kontrolle kontrollgruppe"
CONTROL_WORDS = frozenset(_CONTROL.split())
ENOUGH = 3


def likeness(meanings: Meanings) -> int:
    """How much speaks for a sample's rows being messages, or events of messages; 0 where they are something else."""
    sample = meanings.sample
    if sample.array or not (user_of(meanings)[0] and (_has_time(sample) or message_events.event_column(sample))):
        return 0
    is_named = _is_named(sample.name)
    if meanings.best("bill_id") and (meanings.best("amount") or meanings.best("item_id")) and not is_named:
        return 0
    signs = (
        column_named(sample, CAMPAIGNS), column_named(sample, f"{SENT} {DELIVERED}", ("time",)),
        column_named(sample, f"{OPENED} {FLAGS['opened_at']}", ("time", "truth", "number")),
        column_named(sample, f"{CLICKED} {FLAGS['clicked_at']}", ("time", "truth", "number")), _channel(sample)[0],
    )  # fmt: skip
    points = sum(map(bool, signs)) + 2 * is_named + 2 * bool(message_events.event_column(sample))
    return points if points >= ENOUGH else 0


def messages(meanings: Meanings, questions: list[str], *, by_email: bool = False) -> tuple[TableDraft | None, str]:
    """The table of messages, or why there is none; ``by_email`` where bills know users by their address."""
    sample = meanings.sample
    campaign, (user, hashed) = column_named(sample, CAMPAIGNS), user_of(meanings, by_email=by_email)
    if not campaign or user is None:
        questions.append(f"{sample.name}: of which campaign is a message? No column names it, and messages need one")
        return None, "it looks like messages, and no column names their campaign"
    table = drafted("messages", sample)
    table.columns = {"campaign_id": Guess(campaign), "user_id": user}
    table.personal = hashed
    channel, is_known = _channel(sample)
    event = message_events.event_column(sample)
    if event:
        time = column_named(sample, f"{ANY_TIME} {SENT} {DELIVERED}", ("time",))
        message_events.add(table, sample, (event, time, channel), questions)
    else:
        add_times(table, sample, _times(sample), questions)
        _add_channel(table, sample, channel, questions, is_known=is_known)
        _ask_about_flags(table, sample, questions)
        _add_control(table, sample)
    return table, ""


def _is_named(name: str) -> bool:
    words = w.tokens(name)
    return bool(NAMED & {*words, "_".join(words)}) and w.meaning(name).isdisjoint({w.BILL, w.LINE, w.ITEM})


def _has_time(sample: Sample) -> bool:
    return bool(column_named(sample, f"{SENT} {DELIVERED} {ANY_TIME}", ("time",)))


def _times(sample: Sample) -> list[tuple[str, str]]:
    wanted = {"sent_at": f"{SENT} {DELIVERED} {ANY_TIME}", "opened_at": OPENED, "clicked_at": CLICKED}
    named = [(to, column_named(sample, names, ("time",))) for to, names in wanted.items()]
    return [(to, name) for to, name in named if name]


def _channel(sample: Sample) -> tuple[str, bool]:
    """The column of channels, and whether all its words are known; a ``type`` counts by its words alone."""
    for name in CHANNELS.split():
        column = column_named(sample, name, ("text",))
        if column:
            words = {str(word).strip().lower() for word in sample.columns[column].counts}
            is_known = words <= set(words_of_channels())
            if is_known or ("channel" in name and len(words) < len(sample.rows)):
                return column, is_known
    return "", False


def _add_channel(table: TableDraft, sample: Sample, channel: str, questions: list[str], *, is_known: bool) -> None:
    if channel:
        table.columns["channel"] = Guess(channel)
        if not is_known:
            words = ", ".join(map(repr, sample.columns[channel].judged[:6]))
            questions.append(f"{channel}: which of {words} are email, push, sms and mail? Others count as one channel")
        return
    known = words_of_channels()
    named = {known.get(word, known.get(word.removesuffix("s"))) for word in w.tokens(sample.name)} - {None}
    if len(named) == 1:
        table.columns["channel"] = Guess(f"'{named.pop()}'", f"by the name {sample.name}")
    else:
        questions.append(f"{sample.name}: by which channel was a message sent? No column says; channel is not mapped")


def _ask_about_flags(table: TableDraft, sample: Sample, questions: list[str]) -> None:
    for to, names in FLAGS.items():
        name = column_named(sample, names, ("truth", "number"))
        if name and to not in table.columns:
            questions.append(f"{sample.name}: {name} says whether, not when; {to} is a time, and is not mapped")


def _add_control(table: TableDraft, sample: Sample) -> None:
    flag = column_named(sample, CONTROLS, ("truth", "number"))
    if flag and {str(value).lower() for value in sample.columns[flag].counts} - {"0", "1"} and (
        sample.columns[flag].kind == "number"
    ):  # fmt: skip
        flag = ""
    group = column_named(sample, f"{GROUPS} {CONTROLS}", ("text",))
    words = [str(word) for word in sample.columns[group].counts] if group else []
    held_out = sorted(word for word in words if "_".join(w.tokens(word)) in CONTROL_WORDS)
    if flag:
        table.columns["is_control"] = Guess(flag)
    elif held_out:
        why = f"{group} says who was held out"
        table.columns["is_control"] = Guess(f"coalesce({quoted(group)}, '') in ({words_in(held_out)})", why)
