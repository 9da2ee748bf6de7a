"""Which canonical table each sample is: lines, bills, users, items, stores, or one of marketing; and which is left out,
and why. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.samples import Sample
from capflow_assets.errors import listed

LEAST_KEYS = 0.95


@dataclass
class Roles:
    """Samples by the canonical table that they are; ``others`` are none, each with why.

    ``marketing`` are those of messages and the like, by the name of the table.
    """

    lines: Meanings | None = None
    bills: Meanings | None = None
    users: Meanings | None = None
    items: Meanings | None = None
    stores: Meanings | None = None
    marketing: dict[str, Meanings] = field(default_factory=dict)
    others: list[tuple[Meanings, str]] = field(default_factory=list)
    every: list[Meanings] = field(default_factory=list)


def roles(samples: Sequence[Sample], marketing: Mapping[str, Callable[[Meanings], float]]) -> Roles:
    """What each sample is; of several that may be one table, the likeliest.

    ``marketing`` says how likely a sample is each of those tables, above 0 where it is nothing else: what looks like
    messages is never taken for bills.
    """
    every = [Meanings(sample) for sample in samples if sample.rows]
    chosen = Roles(every=every, others=[(Meanings(sample), "it has no row") for sample in samples if not sample.rows])
    for name, likeness in marketing.items():
        _choose_marketing(chosen, name, likeness)
    for role, score in (("lines", _of_lines), ("bills", _of_bills), ("users", _of_users), ("items", _of_items),
                        ("stores", _of_stores)):  # fmt: skip
        left = _left(chosen)
        scores = {id(one): score(one) for one in left}
        best = max(left, key=lambda one: scores[id(one)], default=None)
        if best is not None and scores[id(best)] > 0:
            setattr(chosen, role, best)
            others = [one for one in left if one is not best and scores[id(one)] >= max(1, scores[id(best)] - 1)]
            same = [one for one in others if role in ("lines", "bills") and not one.sample.array]
            if same:
                words = f"may be {role} as well as {best.sample.name}: two brands, or two tables of one?"
                best.sample.questions.append(f"{listed((one.sample.name for one in same), most=5)}: {words}")
    chosen.others += [(one, "nothing in it is needed, or it is not known") for one in _left(chosen)]
    return chosen


def _choose_marketing(chosen: Roles, name: str, likeness: Callable[[Meanings], float]) -> None:
    scores = [(one, score) for one in _left(chosen) if (score := likeness(one)) > 0]
    if not scores:
        return
    best, _ = max(scores, key=lambda pair: (pair[1], pair[0].sample.rows_total))
    chosen.marketing[name] = best
    for one, _ in scores:
        if one is not best:
            chosen.others.append((one, f"it may be {name} as well as {best.sample.name}, and one source is drafted"))
            best.sample.questions.append(
                f"{one.sample.name}: it may be {name} as well as {best.sample.name}: unite them?"
            )


def _left(chosen: Roles) -> list[Meanings]:
    """The samples of which nothing is known yet."""
    taken = [chosen.lines, chosen.bills, chosen.users, chosen.items, chosen.stores, *chosen.marketing.values()]
    known = {id(one) for one in [*taken, *(one for one, _ in chosen.others)]}
    return [one for one in chosen.every if id(one) not in known]


def _of_lines(meanings: Meanings) -> float:
    has = {concept: bool(meanings.best(concept)) for concept in
           ("bill_id", "item_id", "item_name", "quantity", "unit_price", "amount", "billed_at", "user_id")}  # fmt: skip
    is_named = has["item_id"] or has["item_name"]
    has_money = has["amount"] or has["unit_price"]
    is_of_bills = has["bill_id"] or (has["billed_at"] and has["user_id"])
    if not (is_named and is_of_bills and (has_money or has["quantity"])):
        return 0
    sample = meanings.sample
    if sample.array and not any(meanings.best(c).startswith(f"{sample.array}.") for c in ("item_id", "item_name")):
        return 0
    if has["bill_id"] and not any(sample.columns[name].repeats for name in meanings.all("bill_id")):
        return 1 if has["item_id"] and has["quantity"] else 0
    return 2 + sum(has.values()) + bool(sample.array)


def _of_bills(meanings: Meanings) -> float:
    name = meanings.best("bill_id")
    has_money = bool(meanings.best("user_id") and meanings.best("amount"))
    has_time = bool(meanings.best("billed_at") or (name and has_money and meanings.unnamed_times))
    if not has_time or meanings.sample.array:
        return 0
    if name and not _is_nearly_key(meanings.sample, name) and not has_money:
        return 0
    if not name and not has_money:
        return 0
    if w.USER in meanings.subject or (w.ITEM in meanings.subject and w.BILL not in meanings.subject and not name):
        return 0
    has = [bool(meanings.best(concept)) for concept in ("user_id", "amount", "store_id", "status")]
    return 1 + bool(name) + sum(has) + (w.BILL in meanings.subject)


def _of_users(meanings: Meanings) -> float:
    return _of_a_list(meanings, "user_id", w.USER, ("city", "country", "email", "joined_at"))


def _of_items(meanings: Meanings) -> float:
    return _of_a_list(meanings, "item_id", w.ITEM, ("item_name", "category", "unit_price", "brand"))


def _of_stores(meanings: Meanings) -> float:
    return _of_a_list(meanings, "store_id", w.STORE, ("city", "region"))


def _of_a_list(meanings: Meanings, concept: str, subject: str, attributes: Sequence[str]) -> float:
    names = [name for name in meanings.all(concept) if _is_nearly_key(meanings.sample, name)]
    if not names or (meanings.best("bill_id") and subject not in meanings.subject) or meanings.sample.array:
        return 0
    if not (subject in meanings.subject or any(meanings.best(attribute) for attribute in attributes)):
        return 0
    return 1 + 2 * (subject in meanings.subject) + 0.1 * sum(bool(meanings.best(one)) for one in attributes)


def _is_nearly_key(sample: Sample, name: str) -> bool:
    column = sample.columns[name]
    return len(column.counts) >= LEAST_KEYS * max(len(column.values), 1)


def key_of(meanings: Meanings, concept: str) -> str:
    """The column of a list that tells its rows apart."""
    names = meanings.all(concept)
    return next((name for name in names if _is_nearly_key(meanings.sample, name)), names[0] if names else "")
