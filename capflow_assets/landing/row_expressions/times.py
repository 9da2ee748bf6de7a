"""Functions of days and times, in the customer's zone: what each reads and what it makes. Pure.

Spark's own session would do it if it stood in that zone; here it stands in UTC, and many customers share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from capflow_assets.landing.row_expressions import conversions, kinds
from capflow_assets.landing.row_expressions.kinds import DAY, INSTANT, LOCAL, NUMBER, TEXT, TIMES, Meaning
from capflow_assets.landing.row_expressions.tree import Node, Phrase, Text, first_of, listed, spelled

ISO = "yyyy-MM-dd HH:mm:ss"
# In a pattern, outside of quotes: an offset or a zone.
ZONE_LETTERS = re.compile(r"'[^']*'|([XxZzVO])")
Function = Callable[[Meaning, str, Sequence[Node]], Node | None]


def read(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``to_timestamp``, ``to_date`` and the like: text by a pattern, or anything that is a time already."""
    strict, target = not name.startswith("try_"), _target(name)
    value = arguments[0]
    if len(arguments) == 1 or value.kind in (*TIMES, NUMBER):
        make = {INSTANT: conversions.instant, LOCAL: conversions.local, DAY: conversions.day}[target]
        return make(meaning, value, strict=strict) if value.kind in (*TIMES, TEXT) else None
    pattern = arguments[1]
    source = conversions.bare(value) if value.kind == TEXT else value
    parsed = Phrase(("try_to_timestamp(", source, ", ", pattern, ")"), closed=True, kind=INSTANT)
    phrase: Node = parsed if _names_zone(pattern) else conversions.in_utc(meaning, parsed)
    if target != INSTANT:
        shown = conversions.clock(meaning, parsed) if _names_zone(pattern) else parsed
        type = "DATE" if target == DAY else "TIMESTAMP_NTZ"
        phrase = conversions.rewritten(shown, "CAST(", f" AS {type})", target)
    if not strict or not isinstance(phrase, Phrase) or value.kind != TEXT:
        return phrase
    written = f" written as {pattern.value}" if isinstance(pattern, Text) else ""
    return conversions.checked(phrase, value, f"a {'day' if target == DAY else 'time'}{written}")


def unix_time(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """Seconds since 1970 in UTC."""
    value = arguments[0]
    if value.kind not in (*TIMES, TEXT):
        return None
    pattern = arguments[1] if len(arguments) > 1 else Text(ISO)
    moment = read(meaning, "to_timestamp", [value, pattern])
    return None if moment is None else conversions.rewritten(moment, "unix_seconds(", ")", NUMBER)


def from_unix_time(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """The text that a clock shows so many seconds after 1970, with the instant where it says all of that."""
    seconds = conversions.number(meaning, arguments[0], "BIGINT")
    whole = conversions.rewritten(seconds, "TRY_CAST(", " AS BIGINT)", NUMBER)
    moment = conversions.rewritten(whole, "timestamp_seconds(", ")", INSTANT)
    pattern = arguments[1] if len(arguments) > 1 else Text(ISO)
    parts = ("date_format(", conversions.clock(meaning, moment), ", ", pattern, ")")
    is_all = isinstance(pattern, Text) and pattern.value == ISO
    return Phrase(parts, closed=True, kind=TEXT, doubles=1, instant=moment if is_all else None)


def from_utc(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """The local time that a clock of a zone shows when one in UTC shows the first argument."""
    value = _in_utc_already(meaning, arguments[0])
    shown = listed([value, *arguments[1:]], f"{name}(", ")", kind=INSTANT, doubles=1)
    zone = arguments[1] if len(arguments) > 1 else None
    is_here = isinstance(zone, Text) and zone.value == meaning.zone
    return conversions.rewritten(shown, "CAST(", " AS TIMESTAMP_NTZ)", LOCAL, instant=value if is_here else None)


def to_utc(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """The instant at which a clock of a zone shows the first argument."""
    value = _in_utc_already(meaning, arguments[0])
    return listed([value, *arguments[1:]], f"{name}(", ")", kind=INSTANT, doubles=1)


def convert(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """A local time of one zone as another zone's clock shows it; the customer's zone where no first one is named."""
    zones = [Text(meaning.zone), *arguments[:-1]][-2:]
    local = conversions.local(meaning, arguments[-1])
    return listed([*zones, local], f"{name}(", ")", kind=LOCAL, doubles=1)


def made_of_parts(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """A time of its year, month, day, hour, minute and second, and of a zone if one is named."""
    types = ("INT", "INT", "INT", "INT", "INT", "DECIMAL(16, 6)")
    parts = [
        *(conversions.number(meaning, argument, type) for argument, type in zip(arguments, types, strict=False)),
        *arguments[6:],
    ]
    is_day = name == "make_date"
    if len(parts) < (3 if is_day else 6):
        return None
    zeros = [Phrase(("0",), closed=True, kind=NUMBER)] * 3 if is_day else []
    moment = listed([*parts, *zeros], "try_make_timestamp(", ")", kind=INSTANT, doubles=1)
    if is_day:
        phrase: Phrase = conversions.rewritten(moment, "CAST(", " AS DATE)", DAY)
    elif name.endswith("_ntz"):
        phrase = conversions.rewritten(moment, "CAST(", " AS TIMESTAMP_NTZ)", LOCAL)
    else:
        phrase = moment if len(parts) > 6 else conversions.in_utc(meaning, moment)
    if name.startswith("try_"):
        return phrase
    # A null among the parts makes their text null, and nothing is said.
    text = listed([conversions.rewritten(part, "CAST(", " AS STRING)", TEXT) for part in parts], "concat(", ")")
    words = Text("its parts make no day" if is_day else "its parts make no time")
    failed = Phrase(("CASE WHEN ", moment, " IS NULL AND ", text, " IS NOT NULL THEN ", words, " END"), closed=True)
    return replace(phrase, unread=first_of([*(part.unread for part in parts), failed]))


def truncated(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """The begin of the year, day, hour or other unit that a clock shows."""
    value = arguments[-1]
    if len(arguments) != 2 or value.kind not in (*TIMES, TEXT):
        return None
    return conversions.in_utc(meaning, listed([arguments[0], _on_clock(meaning, value)], f"{name}(", ")", kind=INSTANT))


def moved(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """A time so many units later: days and more by the calendar, hours and less by the stop-watch."""
    if len(arguments) != 3:
        return None
    unit, count, value = arguments[0], conversions.number(meaning, arguments[1], "INT"), arguments[2]
    if value.kind not in (*TIMES, TEXT):
        return None
    is_calendar = spelled(unit).upper().strip("'") in kinds.CALENDAR_UNITS

    def later(time: Node) -> Phrase:
        return listed([unit, count, time], f"{name}(", ")", kind=INSTANT, doubles=1)

    if value.kind == LOCAL:
        return conversions.rewritten(later(_on_clock(meaning, value)), "CAST(", " AS TIMESTAMP_NTZ)", LOCAL)
    if is_calendar:
        return conversions.in_utc(meaning, later(_on_clock(meaning, value)))
    return later(conversions.instant(meaning, value))


def apart(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """How many units, or days, lie between two times as clocks show them."""
    if len(arguments) == 2:
        days = [conversions.day(meaning, argument) for argument in arguments]
        return listed(days, f"{name}(", ")", kind=NUMBER, doubles=1)
    shown = [arguments[0], *(_on_clock(meaning, argument) for argument in arguments[1:])]
    return listed(shown, f"{name}(", ")", kind=NUMBER, doubles=1)


def formatted(meaning: Meaning, name: str, arguments: Sequence[Node]) -> Node | None:
    """``to_char`` of a time; that of a number is another function."""
    if arguments[0].kind not in TIMES:
        return None
    return listed([conversions.clock(meaning, arguments[0]), *arguments[1:]], f"{name}(", ")", kind=TEXT, doubles=1)


def shifted(meaning: Meaning, left: Node, sign: str, right: Node) -> Node | None:
    """A time plus or minus a span, a day plus or minus a number of days, a time minus another; None for all else."""
    if left.kind in kinds.SPANS and right.kind in (*TIMES, TEXT) and sign == "+":
        left, right = right, left
    if right.kind in kinds.SPANS and left.kind in (*TIMES, TEXT):
        return _later(meaning, left, sign, right)
    if left.kind == DAY and sign in "+-" and right.kind in (NUMBER, TEXT):
        if right.kind == TEXT and sign == "-" and isinstance(right, Text):
            right = conversions.day(meaning, right)
            return Phrase((left, " - ", right), kind=kinds.EXACT_SPAN)
        return Phrase((left, f" {sign} ", conversions.number(meaning, right, "INT")), kind=DAY)
    if sign == "-" and left.kind in TIMES and right.kind in TIMES:
        left, right = conversions.compared(meaning, [left, right])
        return Phrase((left, " - ", right), kind=kinds.EXACT_SPAN)
    return None


def _later(meaning: Meaning, time: Node, sign: str, span: Node) -> Node:
    if time.kind == LOCAL:
        return Phrase((time, f" {sign} ", span), kind=LOCAL)
    if span.kind == kinds.EXACT_SPAN:
        return Phrase((conversions.instant(meaning, time), f" {sign} ", span), kind=INSTANT)
    if time.kind == DAY:
        return Phrase((time, f" {sign} ", span), kind=DAY)
    moved = Phrase((conversions.clock(meaning, time), f" {sign} ", span), kind=INSTANT)
    return conversions.in_utc(meaning, moved)


def _in_utc_already(meaning: Meaning, value: Node) -> Node:
    """What is written, or an instant, as a clock in UTC: functions that name zones of their own take it so."""
    if value.as_written is not None:
        return value.as_written
    if value.kind in (TEXT, LOCAL, DAY):
        return conversions.instant(replace(meaning, zone="UTC"), value)
    return value


def _on_clock(meaning: Meaning, value: Node) -> Node:
    """A time as the type that every engine takes, with the fields that a clock shows."""
    shown = conversions.clock(meaning, value)
    if value.kind in (LOCAL, DAY):
        return conversions.rewritten(shown, "CAST(", " AS TIMESTAMP)", INSTANT)
    return shown


def _target(name: str) -> str:
    return DAY if name.endswith("_date") else LOCAL if name.endswith("_ntz") else INSTANT


def _names_zone(pattern: Node) -> bool:
    return isinstance(pattern, Text) and any(match[1] for match in ZONE_LETTERS.finditer(pattern.value))


FUNCTIONS: dict[str, Function] = {
    **dict.fromkeys(("to_timestamp", "to_timestamp_ltz", "to_timestamp_ntz", "to_date"), read),
    **dict.fromkeys(("try_to_timestamp", "try_to_timestamp_ntz", "try_to_date"), read),
    **dict.fromkeys(("unix_timestamp", "to_unix_timestamp"), unix_time),
    "from_unixtime": from_unix_time,
    "from_utc_timestamp": from_utc,
    "to_utc_timestamp": to_utc,
    "convert_timezone": convert,
    **dict.fromkeys(("make_date", "make_timestamp", "make_timestamp_ltz", "make_timestamp_ntz"), made_of_parts),
    **dict.fromkeys(("try_make_timestamp", "try_make_timestamp_ltz", "try_make_timestamp_ntz"), made_of_parts),
    "date_trunc": truncated,
    **dict.fromkeys(("dateadd", "timestampadd", "date_add"), moved),
    **dict.fromkeys(("datediff", "date_diff", "timestampdiff"), apart),
    **dict.fromkeys(("to_char", "to_varchar"), formatted),
}
