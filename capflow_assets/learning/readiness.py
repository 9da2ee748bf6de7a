"""Whether a customer's evidence is enough for a model, and what would close each gap.

The one place that judges: validation/readiness calls it for every model, a training for its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from math import ceil, floor
from typing import Any

from capflow_assets.contract import Needs, Reason, Requirements, Verdict
from capflow_assets.contract.needs import JUDGING, NOT_JUDGED
from capflow_assets.learning.measures import MEASURES

# A past moment makes examples if it has a horizon after it and this much history before it, or a horizon's if shorter.
LEAST_HISTORY_DAYS = 90
# A need that is met by less than a tenth is met by luck.
MARGIN = 0.1
OF_A_HORIZON = ("positives", "negatives")
LATE_FEED_DAYS = 7


def judge(model: str, requirements: Requirements, rows: Iterable[Mapping[str, Any]], today: date) -> Verdict:
    """The verdict on one model from rows of validation/evidence (``model``, ``measure``, ``category``, ``value``).

    ``today`` is the local day of the as-of moment, from which dates are counted. A model that answers before it can be
    judged is ready where that needs no more; what judging waits for is told beside, as needs that are met.
    """
    known = list(rows)
    tables = {row["category"]: int(row["value"]) for row in known if row["measure"] == "rows"}
    totals = [row for row in known if row["category"] is None]
    # A model's own figure comes before that of everybody.
    figures: dict[str, Any] = {row["measure"]: row["value"] for row in totals if row["model"] is None}
    figures |= {row["measure"]: row["value"] for row in totals if row["model"] == model}
    present = {
        table: count for table, count in _tables(requirements, tables).items() if table not in requirements.absent
    }
    needs, horizons = requirements.needs, figures.get("past_horizons")
    if not horizons:
        # No horizon is over yet, so nothing can be said of its outcomes; history comes first.
        least = requirements.horizon_days + min(requirements.horizon_days, LEAST_HISTORY_DAYS)
        timeless = {name: value for name, value in needs.evidence.items() if name not in OF_A_HORIZON}
        needs = replace(needs, history_days=max(needs.history_days, least), positives=0, evidence=timeless)
    figures |= {"users_now": _users_now(totals), "horizon_days": requirements.horizon_days}
    learned = int(horizons) - 1 if horizons and requirements.fitted == "past" else None
    whole = verdict(needs, {**figures, "tables": present}, learned, today)
    if whole.ready or requirements.answers_from is None:
        return whole
    # It answers for those who are here now, whatever came of those of a horizon before.
    now = {**figures, "tables": present, "users": figures["users_now"], "horizon_days": 0}
    first = verdict(requirements.answers_from, now, None, today)
    later = (Reason(f"{JUDGING}{r.need}", r.found, r.needed, True, f"{NOT_JUDGED}{r.fix}") for r in whole.missing)
    return Verdict((*first.reasons, *(later if first.ready else ())))


def _users_now(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """All users up to the as-of moment; a model's are those of a horizon before."""
    return next((row["value"] for row in rows if row["measure"] == "users" and row["model"] is None), None)


def _tables(requirements: Requirements, counted: Mapping[str, int]) -> dict[str, int | None]:
    """Rows by table; None for tables that evidence does not count and that are made of those that it does."""
    derived = [table for table in requirements.needs.tables if table.split("/")[0] in ("features", "validation")]
    return {**dict.fromkeys(derived if counted else ()), **counted}


def verdict(
    needs: Needs, evidence: Mapping[str, Any], labelled_moments: int | None = None, today: date | None = None
) -> Verdict:
    """Hold what a customer has against what a model needs.

    ``evidence`` holds ``tables`` (names such as ``clean/bills``, or a mapping of name to rows), ``history_days``
    (first to last bill), ``users`` (known, with a bill), ``positives`` (users with the outcome in the newest complete
    horizon) and whatever else the model asks for, by the names of ``learning.measures``. ``labelled_moments`` is how
    many past moments could be learned from besides the one to test on; None for a model that learns from no outcomes.
    A figure that is absent or None is not met and says that it is unknown. Every need has a reason, met or not; a need
    of 0 has none. A met need carries a ``risk`` where it is met by less than a tenth, or where the outcomes of one more
    horizon that changes as the last did would not do.

    Where ``today`` is given, what takes time is promised for a day at the pace of the last 28 days.

    >>> needs = Needs(tables=("clean/bills",), history_days=365)
    >>> found = verdict(needs, {"tables": ["clean/bills"], "history_days": 120}, today=date(2025, 11, 25))
    >>> found.state
    'not ready'
    >>> print(found.missing[0].fix)
    needs 365 days of bills, has 120; ready on 2026-07-28 at today's pace
    """
    tables = evidence.get("tables") or ()
    reasons = [_table(name, tables) for name in needs.tables]
    if needs.history_days:
        reasons.append(_history(needs.history_days, evidence, today))
    if needs.users:
        reasons.append(_users(needs.users, evidence, today))
    if needs.positives:
        reasons.append(_positives(needs.positives, evidence))
    reasons += [_measure(name, least, evidence) for name, least in needs.evidence.items() if least]
    if labelled_moments is not None:
        reasons.append(_moments(labelled_moments, evidence, today))
    return Verdict(tuple(reasons))


def feed(age_days: float | None) -> Reason:
    """Whether bills still come: ``age_days`` is the time from the newest one to the as-of moment.

    Nothing is refused for it, since what is known stays known; but predictions grow old.

    >>> feed(12).risk
    'the newest bill is 12 days old; check the feed'
    """
    if age_days is None:
        return Reason("feed", None, LATE_FEED_DAYS, False, "no bill has come yet; check the source of the bills")
    age = floor(age_days)
    risk = f"the newest bill is {_days(age)} old; check the feed" if age > LATE_FEED_DAYS else ""
    return Reason("feed", age, LATE_FEED_DAYS, True, risk=risk)


def _table(name: str, tables: Collection[str] | Mapping[str, Any]) -> Reason:
    present = name in tables
    if present and isinstance(tables, Mapping) and tables[name] is not None and int(tables[name]) == 0:
        return Reason(f"table {name}", "0 rows", "present", False, f"table {name} is empty; deliver rows for it")
    fix = "" if present else f"needs table {name}; map a source to it in the customer's file"
    return Reason(f"table {name}", "present" if present else "absent", "present", present, fix)


def _history(needed: int, evidence: Mapping[str, Any], today: date | None) -> Reason:
    days = evidence.get("history_days")
    if days is None:
        return Reason("history_days", None, needed, False, f"needs {needed} days of bills, has none yet")
    gap = ceil(needed - days)
    if gap <= 0:
        return Reason("history_days", days, needed, True)
    # History grows from the newest bill on.
    ready = _ready(gap - floor(evidence.get("newest_bill_age_days") or 0), gap, today)
    return Reason("history_days", days, needed, False, f"needs {needed} days of bills, has {days:g}; {ready}")


def _users(needed: int, evidence: Mapping[str, Any], today: date | None) -> Reason:
    words = "users with a bill"
    users, history, new = (evidence.get(name) for name in ("users", "history_days", "users_new_28d"))
    reason = _count("users", words, needed, users)
    if reason.met or users is None:
        return reason
    horizon, now = evidence.get("horizon_days") or 0, evidence.get("users_now") or users
    if now >= needed:
        # They are here already and count as soon as a horizon has passed over them.
        days = ceil(horizon * (needed - users) / (now - users))
        return replace(reason, fix=f"{reason.fix}; {_ready(days, days, today)}")
    a_day = new / 28 if new is not None else users / history if history else 0
    if a_day > 0:
        days = ceil((needed - now) / a_day) + horizon
        return replace(reason, fix=f"{reason.fix}; {_ready(days, days, today)}")
    return replace(reason, fix=f"{reason.fix}; none is new of late") if new is not None else reason


def _positives(needed: int, evidence: Mapping[str, Any]) -> Reason:
    positives, before = evidence.get("positives"), evidence.get("positives_before")
    reason = _count("positives", "users with the outcome", needed, positives, before)
    if reason.met or positives is None:
        return reason
    # The outcome is counted over one horizon, so more days do not add to it; more users or a longer horizon do.
    fix = f"{reason.fix}; grows with the users, or choose a longer horizon"
    return Reason("positives", positives, needed, False, fix)


def _measure(name: str, needed: float, evidence: Mapping[str, Any]) -> Reason:
    measure, number = MEASURES[name], evidence.get(name)
    if measure.unit != "share":
        reason = _count(name, measure.words, needed, number)
    elif number is None:
        fix = f"needs {_percent(needed)} {measure.words}, which is unknown yet"
        reason = Reason(name, None, needed, False, fix)
    else:
        fix = "" if number >= needed else f"needs {_percent(needed)} {measure.words}, has {_percent(number)}"
        reason = Reason(name, number, needed, not fix, fix, "" if fix else _thin(number, needed))
    if reason.met:
        return reason
    return Reason(name, reason.found, needed, False, f"{reason.fix}; {measure.mend}")


def _count(need: str, words: str, needed: float, number: float | None, before: float | None = None) -> Reason:
    """A figure against the least; ``before`` is the same figure a horizon ago."""
    if number is None:
        return Reason(need, None, needed, False, f"needs {_many(needed, words)}, the count is unknown yet")
    if number < needed:
        return Reason(need, number, needed, False, f"needs {_many(needed, words)}, has {_figure(number)}")
    following = number - ((before or number) - number)
    if following < needed and before is not None and before > number:
        fall = f"{_figure(number)} {words}, {_figure(before)} a horizon before"
        risk = f"{fall}; below {_figure(needed)} after one more such horizon"
        return Reason(need, number, needed, True, risk=risk)
    # How many users were ever seen does not shrink.
    return Reason(need, number, needed, True, risk="" if need == "users" else _thin(number, needed))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _many(count: float, words: str) -> str:
    """So many of something, whose words are for several.

    >>> _many(30, "users with a bill"), _many(1, "categories of items")
    ('30 users with a bill', '1 category of items')
    """
    if count == 1:
        words = re.sub(r"\b(\w+?)(ies|s)\b", lambda noun: noun[1] + ("y" if noun[2] == "ies" else ""), words, count=1)
    return f"{_figure(count)} {words}"


def _thin(number: float, needed: float) -> str:
    over = number / needed - 1
    return f"only {_percent(over, floor)} above what is needed" if over < MARGIN else ""


def _percent(share: float, rounded: Any = None) -> str:
    """A share in percent; one that falls short must not look as if it did not."""
    percent = 100 * share
    return f"{rounded(percent + 1e-9)} %" if rounded else f"{floor(percent * 100 + 1e-6) / 100:g} %"


def _moments(number: int, evidence: Mapping[str, Any], today: date | None) -> Reason:
    if number:
        return Reason("labelled_moments", number, 1, True)
    fix = "needs one past horizon to learn from besides the one to test on; wait one horizon longer"
    horizon, history = evidence.get("horizon_days"), evidence.get("history_days")
    if horizon and history is not None and today is not None:
        days = ceil(2 * horizon + min(horizon, LEAST_HISTORY_DAYS) - history)
        fix += f": {_ready(days - floor(evidence.get('newest_bill_age_days') or 0), days, today)}" if days > 0 else ""
    return Reason("labelled_moments", number, 1, False, fix)


def _ready(from_today: int, days: int, today: date | None) -> str:
    """When a gap is closed: on a day where today is known, else in so many days."""
    if today is None:
        return f"ready in {_days(days)} at today's pace"
    try:
        day = today + timedelta(days=max(1, from_today))
    except OverflowError:
        return f"ready in {_days(days)} at today's pace"
    return f"ready on {day.isoformat()} at today's pace"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"
