"""When it was paid: the column, with its time of day where that stands apart, and the format that reads it. Pure."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, quoted
from capflow_assets.drafting.profiles import Column
from capflow_assets.drafting.samples import Sample
from capflow_assets.landing import suggestions, time_formats

CLOCKS = ("H:mm", "H:mm:ss", "h:mm a", "h:mm:ss a", "H'h'mm")
# A time of day as one number: 934 is 9:34, 93405 five seconds later.
HOURS = "([01]?[0-9]|2[0-3])?"
NUMBER_CLOCKS = {4: re.compile(f"{HOURS}[0-5]?[0-9]"), 6: re.compile(f"{HOURS}([0-5]?[0-9]){{2}}")}
FEWEST_CLOCKS = 20
# Rows are in order of time where hardly a step goes back, and another reading has many that do.
MOST_BACK, LEAST_BACK, FEW_STEPS = 0.01, 0.04, 20


@dataclass
class Moment:
    """A column of times as a mapping has it, with the options that read it."""

    value: Guess
    options: dict[str, Guess] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)


def moment(meanings: Meanings, concept: str = "billed_at") -> Moment | None:
    """The time of a table's rows; None where no column is one."""
    is_named = bool(meanings.all(concept))
    names = meanings.all(concept) or (meanings.unnamed_times if concept == "billed_at" else [])
    name = next((one for one in names if _is_filled(meanings.sample, one)), next(iter(names), ""))
    if not name:
        return None
    column = meanings.sample.columns[name]
    form, why, questions = _format(meanings.sample, column)
    clock = _clock(meanings.sample) if concept == "billed_at" and _is_of_days(column, form) else ""
    doubts = [] if is_named else [f"is {name} when it was paid? No column is called so, and this one holds times"]
    others = [f"{other}" for other in names if other != name and meanings.sample.columns[other].kind == "time"]
    note = f"; there is {', '.join(others[:3])} as well" if others else ""
    if clock:
        timed = _with_clock(meanings.sample, name, form, clock, why, questions)
        return dataclasses.replace(timed, questions=[*timed.questions, *doubts])
    options = {}
    if form:
        has_clock = form in time_formats.COUNTS or any(part in form for part in ("H", "h"))
        options["timestamp_format" if has_clock else "date_format"] = Guess(form, why, bool(questions))
    is_utc = "utc" in name.lower() and not form and column.is_text and not _has_offset(column)
    value = (
        Guess(f"concat({quoted(name)}, 'Z')", "its name says UTC") if is_utc else Guess(name, note.removeprefix("; "))
    )
    if mixed := column.mixed_formats:
        options, question = _mixed(name, mixed)
        questions.append(question)
    return Moment(value, options, [*questions, *doubts])


def column_moment(sample: Sample, name: str) -> Moment:
    """A column that is known to be a time, with the options that read it."""
    column = sample.columns[name]
    if mixed := column.mixed_formats:
        options, question = _mixed(name, mixed)
        return Moment(Guess(quoted(name)), options, [question])
    form, why, questions = _format(sample, column)
    has_clock = form in time_formats.COUNTS or any(part in form for part in ("H", "h"))
    key = "timestamp_format" if has_clock else "date_format"
    return Moment(Guess(quoted(name)), {key: Guess(form, why, bool(questions))} if form else {}, questions)


def _format(sample: Sample, column: Column) -> tuple[str, str, list[str]]:
    """The format of a column's text, why it is that, and what is to be asked."""
    if column.kind == "number":
        return column.count_format, "numbers count from a day" if column.count_format else "", []
    formats = [form for form in column.formats if form != "iso"]
    if not formats:
        return "", "", []
    day_first = next((form for form in formats if form.startswith("d")), "")
    month_first = next((form for form in formats if form.startswith("M") and not form.startswith("MMM")), "")
    if not (day_first and month_first):
        return formats[0], _proof(column, formats[0]), []
    decided = [_decided(other) for other in sample.columns.values() if other is not column]
    if order := next(filter(None, decided), ""):
        return (day_first if order == "d" else month_first), "as another column of the table has it", []
    back = {form: _steps_back(column, form) for form in (day_first, month_first)}
    best, other = sorted(back, key=lambda form: back[form])
    if back[best] <= MOST_BACK and back[other] >= max(3 * back[best], LEAST_BACK):
        return best, "so read, the rows are in order of time", []
    question = f"{column.name}: is {column.judged[0]!r} {day_first} or {month_first}? No day above 12 decides"
    return day_first, f"or {month_first}: no day above 12 decides", [question]


def _proof(column: Column, form: str) -> str:
    match = next((value for value in column.judged if any(int(part) > 12 for part in _parts(value)[:2])), None)
    return f"{match!r} decides" if match and form[:1] in "dM" and "MMM" not in form else ""


def _parts(value: str) -> list[str]:
    return [part for part in value.replace("/", " ").replace(".", " ").replace("-", " ").split() if part.isdigit()]


def _decided(column: Column) -> str:
    """Whether a column's own values say that the day or the month stands first."""
    if column.kind != "time" or not column.is_text:
        return ""
    firsts = {form[:1] for form in column.formats if form[:1] in ("d", "M") and "MMM" not in form}
    return firsts.pop() if len(firsts) == 1 else ""


def _steps_back(column: Column, form: str) -> float:
    """The share of the steps from row to row that go against the order of most of them."""
    times = [time for value in column.values[:5_000] if value is not None and (time := parsed(value, form)) is not None]
    changing = [(one, later) for one, later in pairwise(times) if one != later]
    up = sum(one < later for one, later in changing)
    return min(up, len(changing) - up) / len(changing) if len(changing) >= FEW_STEPS else 1.0


def parsed(value: str, form: str) -> datetime | None:
    """The local time that a text of a format with numbers for day and month is; None where it is none.

    >>> parsed("3/14/24 6:05", "M/d/yy H:mm")
    datetime.datetime(2024, 3, 14, 0, 0)
    """
    pattern, numbers = time_formats.groups(form)
    match = re.fullmatch(pattern, value)
    places = {letters[:1]: place for letters, place in numbers.items() if letters[:1] in "yMd"}
    if match is None or not all(match[place].isdigit() for place in places.values()):
        return None
    year = int(match[places["y"]])
    year += 0 if year > 99 else 1900 if year >= time_formats.FIRST_OF_LAST_CENTURY else 2000
    try:
        return datetime(year, int(match[places["M"]]), int(match[places["d"]]))  # noqa: DTZ001  (local)
    except ValueError:
        return None


def _is_filled(sample: Sample, name: str) -> bool:
    column = sample.columns[name]
    return column.filled >= 0.5 * len(column.values)


def _is_of_days(column: Column, form: str) -> bool:
    if not column.is_text:
        return all(not getattr(value, "hour", 0) and not getattr(value, "minute", 0) for value in column.judged[:500])
    return not any(part in form for part in "Hh") if form else all(len(value) <= 10 for value in column.judged)


def _has_offset(column: Column) -> bool:
    return any(value.endswith("Z") or "+" in value for value in column.judged[:50])


def _clock(sample: Sample) -> str:
    clocks = (name for name, column in sample.columns.items() if column.kind == "clock")
    numbers = (name for name, column in sample.columns.items() if _digits_of_clock(name, column))
    return next(clocks, "") or next(numbers, "")


def _digits_of_clock(name: str, column: Column) -> int:
    """How many digits a time of day has that is written as one number, 4 or 6; 0 where it is none."""
    if w.meaning(name) & {w.TIME, w.QUANTITY} != {w.TIME} or column.kind != "number" or not column.is_text:
        return 0
    fits = (digits for digits, form in NUMBER_CLOCKS.items() if all(map(form.fullmatch, column.judged)))
    return next(fits, 0) if len(column.counts) >= FEWEST_CLOCKS else 0


def _with_clock(sample: Sample, day: str, form: str, clock: str, why: str, questions: list[str]) -> Moment:
    column = sample.columns[clock]
    if digits := _digits_of_clock(clock, column):
        padded = f"concat({quoted(day)}, ' ', lpad({quoted(clock)}, {digits}, '0'))"
        written = f"{form or 'yyyy-MM-dd'} {'HHmmss'[:digits]}"
        value = Guess(padded, f"the time of day stands in {clock}, as one number")
        return Moment(value, {"timestamp_format": Guess(written, why, bool(questions))}, questions)
    value = Guess(f"concat({quoted(day)}, ' ', {quoted(clock)})", f"the time of day stands in {clock}")
    clocks = [one for one in CLOCKS if all(_is_clock(text, one) for text in column.judged[:500])]
    is_iso = not form and all(len(text) in (5, 8) for text in column.judged[:500])
    if is_iso or not clocks:
        return Moment(value, {}, questions)
    written = f"{form or 'yyyy-MM-dd'} {clocks[0]}"
    return Moment(value, {"timestamp_format": Guess(written, why, bool(questions))}, questions)


def _is_clock(text: str, form: str) -> bool:
    return suggestions.is_in_format(f"2024-01-01 {text}", f"yyyy-MM-dd {form}")


def _mixed(name: str, mixed: dict[str, float]) -> tuple[dict[str, Guess], str]:
    """Options for a column of two formats: one for times, one for days, where that is what they are."""
    shares = ", ".join(f"{form} ({100 * share:.0f} %)" for form, share in mixed.items())
    with_clock = [form for form in mixed if any(part in form for part in "Hh")]
    first, second, *lost = sorted(mixed, key=lambda form: form not in with_clock)
    why = "one of several formats in the column"
    options = {"timestamp_format": Guess(first, why, is_unsure=True), "date_format": Guess(second, why, is_unsure=True)}
    numbers = [form for form in mixed if form.startswith(("d", "M")) and "MMM" not in form]
    end = " of the different dates; both are read"
    if lost:
        end = f" of the different dates: rows written {' or '.join(lost)} are rejected"
    elif len(numbers) > 1:
        end += ", and a date may have its day and month either way round"
    return options, f"{name} has dates of several formats, {shares}{end}; best have it exported in one"
