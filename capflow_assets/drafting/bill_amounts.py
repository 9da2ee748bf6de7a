"""What was paid for a bill: the column, or the difference of columns, that its lines add up to. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from capflow_assets.drafting import words as w
from capflow_assets.drafting.amounts import form_of
from capflow_assets.drafting.deletions import deleted_rows
from capflow_assets.drafting.lines import Lines
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, quoted
from capflow_assets.drafting.profiles import number_of
from capflow_assets.drafting.samples import Sample

ENOUGH = 0.9
CENT = 0.021
MOST_TAKEN_OFF = 3
# What a total may hold beside the goods.
BESIDE = (w.SHIPPING, w.TAX, w.DISCOUNT, w.COST)


def bill_amount(bills: Meanings, key: str, lines: Lines | None, lines_sample: Sample | None) -> Guess | None:
    """The amount of a bill; None where its lines are to be summed.

    Amounts are tried as they are, and less shipping, tax and the like, against the sums of the lines.
    """
    names = bills.all("amount")
    refund = bills.best("refund")
    if lines is None or lines_sample is None or not lines.bill:
        if not names:
            return None
        others = f"or is it {' or '.join(names[1:4])}?" if len(names) > 1 else ""
        return _less_refund(Guess(quoted(names[0]), others, is_unsure=bool(others)), refund, bills.sample)
    numbers = _numbers(bills.sample)
    column = bills.sample.columns[key]
    keys = [str(value) for value in column.values]
    # What came several times has its lines several times as well.
    several = {str(value) for value, count in column.counts.items() if count > 1}
    sums = {bill: paid for bill, paid in _sums(lines_sample, lines).items() if bill not in several}
    shares = {}
    for name, less in _ways(bills, names):
        known = [(sums[bill], _value(numbers, name, less, place)) for place, bill in enumerate(keys) if bill in sums]
        fitting = sum(value is not None and abs(paid - value) <= CENT for paid, value in known)
        if known and fitting >= ENOUGH * len(known):
            shares[name, less] = fitting / len(known)
    if not shares:
        return None
    name, less = max(shares, key=lambda way: (round(shares[way], 2), -len(way[1])))
    expression = " - ".join([quoted(name), *(f"coalesce({quoted(one)}, 0)" if one else one for one in less)])
    guess = Guess(expression, f"what its lines add up to, of {100 * shares[name, less]:.0f} % of the bills")
    return _less_refund(guess, refund, bills.sample)


def _ways(bills: Meanings, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    beside = [
        name
        for name, tags in bills.tags.items()
        if tags & set(BESIDE)
        and bills.sample.columns[name].kind == "number"
        and any(bills.sample.columns[name].numbers)
    ][:8]
    for name in names[:6]:
        for size in range(MOST_TAKEN_OFF + 1):
            for less in combinations(beside, size):
                yield name, less


def _less_refund(guess: Guess, refund: str, sample: Sample) -> Guess:
    if not refund or not any(sample.columns[refund].numbers):
        return guess
    why = f"{guess.why}; less {refund}: what was given back".removeprefix("; ")
    return Guess(f"{guess.value} - coalesce({quoted(refund)}, 0)", why, guess.is_unsure)


def _sums(sample: Sample, lines: Lines) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    deleted = deleted_rows(sample)
    for place, (bill, value) in enumerate(zip(sample.columns[lines.bill].values, lines.money.values, strict=False)):
        sums[str(bill)] += 0.0 if place in deleted else value or 0.0
    return sums


def _numbers(sample: Sample) -> Mapping[str, Sequence[float | None]]:
    names = [name for name, column in sample.columns.items() if column.kind == "number"]
    return {
        name: [number_of(value, form) for value in sample.columns[name].values]
        for name in names
        for form in (form_of(sample, [name]),)
    }


def _value(numbers: Mapping[str, Sequence[float | None]], name: str, less: Sequence[str], place: int) -> float | None:
    whole = numbers[name][place]
    return None if whole is None else whole - sum(numbers[one][place] or 0.0 for one in less)
