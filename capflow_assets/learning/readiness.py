"""Whether a customer's evidence is enough for a model, and what would close each gap."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from typing import Any

from capflow_assets.contract import Needs, Reason, Verdict


def verdict(needs: Needs, evidence: Mapping[str, Any], labelled_moments: int | None = None) -> Verdict:
    """Hold what a customer has against what a model needs.

    ``evidence`` holds ``tables`` (names such as ``clean/bills``, or a mapping of name to rows), ``history_days``
    (first to last bill), ``users`` (known, with a bill) and ``positives`` (users with the outcome in the newest
    complete horizon). ``labelled_moments`` is how many past moments could be learned from besides the one to test
    on; None for a model that learns from no outcomes. A figure that is absent or None is not met and says that it is
    unknown. Every need has a reason, met or not; a need of 0 has none.

    >>> needs = Needs(tables=("clean/bills",), history_days=180, users=500)
    >>> found = verdict(needs, {"tables": ["clean/bills"], "history_days": 120, "users": 900})
    >>> found.ready
    False
    >>> print(found.missing[0].fix)
    needs 180 days of bills, has 120; ready in 60 days at today's pace
    """
    tables = evidence.get("tables") or ()
    reasons = [_table(name, tables) for name in needs.tables]
    history = evidence.get("history_days")
    if needs.history_days:
        reasons.append(_history(needs.history_days, history))
    if needs.users:
        reasons.append(_count("users", "users with a bill", needs.users, evidence.get("users"), history))
    if needs.positives:
        reasons.append(
            _count("positives", "users with the outcome", needs.positives, evidence.get("positives"), history)
        )
    if labelled_moments is not None:
        reasons.append(_moments(labelled_moments))
    return Verdict(tuple(reasons))


def _table(name: str, tables: Collection[str] | Mapping[str, Any]) -> Reason:
    present = name in tables
    if present and isinstance(tables, Mapping) and tables[name] is not None and int(tables[name]) == 0:
        return Reason(f"table {name}", "0 rows", "present", False, f"table {name} is empty; deliver rows for it")
    fix = "" if present else f"needs table {name}; map a source to it in the customer's file"
    return Reason(f"table {name}", "present" if present else "absent", "present", present, fix)


def _history(needed: int, found: float | None) -> Reason:
    if found is None:
        return Reason("history_days", None, needed, False, f"needs {needed} days of bills, has none yet")
    gap = ceil(needed - found)
    fix = "" if gap <= 0 else f"needs {needed} days of bills, has {found:g}; ready in {_days(gap)} at today's pace"
    return Reason("history_days", found, needed, gap <= 0, fix)


def _count(need: str, words: str, needed: int, found: int | None, history_days: float | None) -> Reason:
    if found is None:
        return Reason(need, None, needed, False, f"needs {needed:,} {words}, the count is unknown yet")
    if found >= needed:
        return Reason(need, found, needed, True)
    fix = f"needs {needed:,} {words}, has {found:,}"
    if need == "positives":
        # The outcome is counted over one horizon, so more days do not add to it; more users or a longer horizon do.
        return Reason(need, found, needed, False, f"{fix}; grows with the users, or choose a longer horizon")
    if found > 0 and history_days:
        fix += f"; ready in {_days(ceil((needed - found) * history_days / found))} at today's pace"
    return Reason(need, found, needed, False, fix)


def _moments(found: int) -> Reason:
    fix = "" if found else "needs one past horizon to learn from besides the one to test on; wait one horizon longer"
    return Reason("labelled_moments", found, 1, found >= 1, fix)


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"
