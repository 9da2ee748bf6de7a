"""In which currency a customer's amounts are, and how its numbers are written. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.profiles import Column, number_formats
from capflow_assets.drafting.samples import Sample
from capflow_assets.errors import listed
from capflow_assets.landing.suggestions import written_options

# Signs of one currency alone; $, kr and ¥ are those of several.
SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₺": "TRY", "₽": "RUB", "₩": "KRW", "zł": "PLN", "Kč": "CZK", "Ft": "HUF",
    "R$": "BRL", "CHF": "CHF", "EUR": "EUR", "USD": "USD", "GBP": "GBP", "SEK": "SEK", "NOK": "NOK", "DKK": "DKK",
    "PLN": "PLN", "TL": "TRY", "US$": "USD", "CA$": "CAD", "AU$": "AUD", "NT$": "TWD", "円": "JPY", "JPY": "JPY",
    "元": "CNY", "RMB": "CNY", "CNY": "CNY", "원": "KRW", "руб": "RUB", "₴": "UAH",
}  # fmt: skip
LIKELIEST = {"¥": "JPY", "￥": "JPY", "kr": "SEK"}
CODE = re.compile(
    r"(?:^|[\W_])(EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CZK|BRL|TRY|INR|JPY|CAD|AUD|TWD|MXN)(?:$|[\W_])", re.IGNORECASE
)
NO_SIGN = re.compile(r"[0-9.,' \u00a0\u2009\u202f()+\u2212-]")
JUDGED = 200
OF_THOUSANDTHS = frozenset({"KD", "KWD", "BD", "BHD", "OMR", "DT", "TND", "JD", "JOD"})
THREES = re.compile(r"[^0-9]*[0-9]{1,3}(?:,[0-9]{3})+[^0-9]*")
ENOUGH_MARKED = 20
NOBODYS = "XXX"
OF_IDS = ("bill_id", "line_no", "user_id", "item_id", "store_id", "till_id")
NUMBER_COLUMNS = ("amount", "quantity", "discount", "price")


def currency(every: Sequence[Meanings]) -> Guess:
    """The currency by a column, by the names of columns, or by signs beside numbers; else it is asked."""
    for meanings in every:
        name = meanings.best("currency")
        values = meanings.sample.columns[name].values if name else ()
        codes = Counter(str(code).strip().upper() for code in values if code)
        if codes and all(re.fullmatch("[A-Z]{3}", code) for code in codes):
            main, count = codes.most_common(1)[0]
            why = f"{name} says so" if len(codes) == 1 else f"{name} says so of {100 * count / codes.total():.0f} %"
            return Guess(main, why, is_unsure=len(codes) > 1)
    for meanings in every:
        named = [match[1].upper() for name in meanings.sample.names if (match := CODE.search(name))]
        if named:
            return Guess(named[0], "by the name of a column")
        if signs := _signs(meanings):
            return _by_signs(signs)
    return Guess(NOBODYS, "nothing in the files tells; XXX is no currency", is_unsure=True)


def _by_signs(signs: Counter[str]) -> Guess:
    sign = signs.most_common(1)[0][0]
    code = SIGNS.get(sign, LIKELIEST.get(sign, "USD"))
    if len(signs) > 1:
        shares = listed(f"{one} ({100 * count / signs.total():.0f} %)" for one, count in signs.most_common())
        return Guess(code, f"amounts are written with {shares}, and one currency is summed up", is_unsure=True)
    if sign in SIGNS:
        return Guess(code, f"amounts are written with {sign}")
    return Guess(code, f"amounts are written with {sign}, the sign of several currencies", is_unsure=True)


def _signs(meanings: Meanings) -> Counter[str]:
    """The signs beside numbers, by how many different ones they stand at, of the columns that have some.

    The letters of ids are none: a bill ``R000042`` is not paid in rand.
    """
    ids = {name for concept in OF_IDS for name in meanings.all(concept)}
    signs: Counter[str] = Counter()
    for name, column in meanings.sample.columns.items():
        if column.is_text and column.kind == "number" and name not in ids and w.ID not in meanings.tags[name]:
            for value in column.judged[:JUDGED]:
                if sign := NO_SIGN.sub("", value).strip("."):
                    signs[sign] += 1
    return signs


def one_currency(meanings: Meanings, code: str) -> str:
    """The condition that leaves rows of one currency alone, where there are several; else blank."""
    codes = _codes(meanings)
    return f"upper({quoted(meanings.best('currency'))}) = '{code}'" if len(codes) > 1 and code in codes else ""


def other_currencies(meanings: Meanings, code: str) -> str:
    """The currencies that a column names, in words, where the one that is meant is none of them; else blank."""
    codes = _codes(meanings)
    return "" if not codes or code in codes else f"{meanings.best('currency')} says {listed(sorted(codes), most=4)}"


def _codes(meanings: Meanings) -> set[str]:
    name = meanings.best("currency")
    return {str(value).strip().upper() for value in meanings.sample.columns[name].counts} if name else set()


def number_options(table: TableDraft, sample: Sample, questions: list[str]) -> dict[str, Guess]:
    """The options that read the numbers of a table's mapped columns."""
    texts = [str(table.columns[name].value) for name in NUMBER_COLUMNS if name in table.columns]
    columns = [
        column for name, column in sample.columns.items()
        if column.is_text and column.kind == "number" and any(_mentions(text, name) for text in texts)
    ]  # fmt: skip
    if not columns:
        return {}
    forms = number_formats(columns)
    if not forms:
        questions.append(f"{sample.name}: no one way of writing numbers reads {', '.join(c.name for c in columns)}")
        return {}
    is_by_threes = len(forms) > 1 and _is_money_by_threes(columns)
    if is_by_threes:
        forms = sorted(forms, key=lambda form: form.decimal_comma)[:1]
    if len(forms) > 1:
        either = " or ".join(", ".join(written_options(form)) for form in forms[:2])
        value = next((value for column in columns for value in column.judged if "," in value), "")
        questions.append(f"{sample.name}: is {value!r} to be read with {either}?")
    form = forms[0]
    why = "as its numbers are written" if len(forms) == 1 else "no number decides"
    why = "each mark stands before three digits, of money" if is_by_threes else why
    said = {"decimal_comma": form.decimal_comma, "thousands": form.thousands, "currency_sign": form.currency_sign}
    options = {name: Guess(value, why, is_unsure=len(forms) > 1) for name, value in said.items() if value}
    return options | ({"negative": Guess(form.negative, why)} if form.negative != "minus" else {})


def _is_money_by_threes(columns: Sequence[Column]) -> bool:
    """Whether every comma in many amounts stands before three digits: no currency but a few has thousandths."""
    marked = [value for column in columns for value in column.judged if "," in value]
    signs = {NO_SIGN.sub("", value).strip(".") for value in marked}
    is_money = bool(signs) and "" not in signs and not signs & OF_THOUSANDTHS
    return is_money and len(marked) >= ENOUGH_MARKED and all(THREES.fullmatch(value) for value in marked)


def _mentions(text: str, name: str) -> bool:
    return (
        text == name or f"`{name}`" in text or re.search(rf"(?<![\w`.]){re.escape(name)}(?![\w`(])", text) is not None
    )
