"""Returns whose amounts are written as those of sales, told by a column such as ``type`` alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from capflow_assets.drafting.amounts import form_of
from capflow_assets.drafting.parts import Guess, TableDraft, quoted, words_in
from capflow_assets.drafting.profiles import number_of
from capflow_assets.drafting.samples import Sample
from capflow_assets.landing.personal_names import plain_name

_RETURNS = (
    "return returns returned refund refunds refunded credit credit_note credit_memo retour retoure retouren rueckgabe "
    "gutschrift storno avoir remboursement devolucion devoluciones reembolso abono reso resi rimborso devolucao "
    "retur returer zwrot iade teruggave creditnota"
)
_SALES = (
    "sale sales sell sold purchase purchases buy order invoice normal regular verkauf kauf rechnung vente ventes achat "
    "facture venta ventas compra factura vendita vendite acquisto venda vendas verkoop sprzedaz salg satis kop"
)
RETURNS, SALES = frozenset(_RETURNS.split()), frozenset(_SALES.split())
# Where a letter says it.
LETTERS = ({"s", "r"}, {"v", "r"}, {"p", "r"})
MOST_WORDS = 8
SIGNED = ("amount", "quantity")
NAME = re.compile(r"`(?:[^`]|``)+`|[A-Za-z_][\w.]*")


def taken_back(table: TableDraft, sample: Sample, questions: list[str]) -> None:
    """Turn the sign of the money and the pieces of returns, where a column says what they are and no sign does."""
    for name, words in _kinds(sample):
        places = [place for place, value in enumerate(sample.columns[name].values) if value in words]
        turned = [column for column in SIGNED if _is_positive(table.columns.get(column), sample, places)]
        if "amount" not in turned:
            continue
        for column in turned:
            guess = table.columns[column]
            value = quoted(guess.value) if guess.value in sample.names else guess.value
            text = f"if({quoted(name)} in ({words_in(words)}), -({value}), {value})"
            why = "; ".join(filter(None, (f"{name} says which are returns, and no sign does", guess.why)))
            table.columns[column] = Guess(text, why, is_unsure=True)
        shown = " or ".join(map(repr, words))
        rows = f"{len(places):,} rows of the sample, whose amounts are above 0"
        questions.append(f"{name} is {shown} in {rows}: are they given back? They are taken off")
        return


def _kinds(sample: Sample) -> list[tuple[str, list[str]]]:
    """The columns that tell sales from returns, and the words of returns in them."""
    kinds = []
    for name, column in sample.columns.items():
        if column.kind != "text" or not 1 < len(column.counts) <= MOST_WORDS:
            continue
        plain = {str(word): plain_name(str(word)) for word in column.counts}
        if set(plain.values()) in LETTERS:
            kinds.append((name, [word for word in plain if plain[word] == "r"]))
        elif any(word in SALES for word in plain.values()):
            words = sorted(word for word in plain if plain[word] in RETURNS)
            kinds += [(name, words)] if words else []
    return kinds


def _is_positive(guess: Guess | None, sample: Sample, places: Sequence[int]) -> bool:
    """Whether all columns of numbers that a value is made of are at least 0 in some rows, and not all of them 0."""
    text = "" if guess is None else str(guess.value)
    named = [text] if text in sample.columns else [match.strip("`").replace("``", "`") for match in NAME.findall(text)]
    names = [name for name in named if name in sample.columns and sample.columns[name].kind == "number"]
    form = form_of(sample, names)
    numbers = [number_of(sample.columns[name].values[place], form) for name in names for place in places]
    known = [number for number in numbers if number is not None]
    return bool(known) and min(known) >= 0 and max(known) > 0
