"""Which column of a sample is which: the bill's number, the user, the time, the amounts, by its name and kind. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from capflow_assets.drafting import words as w
from capflow_assets.drafting.profiles import Column
from capflow_assets.drafting.samples import Sample

IDS, TEXTS, NUMBERS, TIMES = ("text", "number"), ("text",), ("number",), ("time", "number")
Tags = frozenset[str]


@dataclass(frozen=True, slots=True)
class Concept:
    """What a column may be: the meanings that its name may have, the likeliest first, and the kinds of its values."""

    meanings: tuple[Collection[str], ...]
    kinds: tuple[str, ...]
    forbidden: Collection[str] = ()


CONCEPTS = {
    "bill_id": Concept(
        ((w.BILL, w.ID), (w.SALES, w.ID), (w.BILL,)), IDS, (w.LINE, w.ITEM, w.USER, w.SKU, w.COST, w.EMAIL, w.STORE)
    ),
    "line_no": Concept(((w.LINE, w.ID), (w.BILL, w.ITEM, w.ID), (w.LINE,)), IDS, (w.SKU, w.USER)),
    "user_id": Concept(((w.USER, w.ID), (w.USER,)), IDS, (w.EMAIL, w.NAME, w.ITEM, w.CITY, w.COUNTRY, w.BRAND)),
    "email": Concept(((w.EMAIL,),), TEXTS),
    "store_id": Concept(((w.STORE, w.ID), (w.STORE,), (w.STORE, w.NAME)), IDS, (w.ITEM, w.BILL, w.CITY)),
    "till_id": Concept(((w.TILL,),), IDS, (w.BILL, w.DATE)),
    "billed_at": Concept(
        ((w.BILL, w.DATE), (w.SALES, w.DATE), (w.DATE, w.TIME), (w.DATE,), (w.TIME,), (w.BILL, w.TIME)),
        TIMES, (w.USER, w.JOINED, w.ITEM, w.QUANTITY, w.ID),
    ),
    "item_id": Concept(
        ((w.ITEM, w.ID), (w.SKU,), (w.ITEM,)), IDS, (w.NAME, w.BILL, w.CATEGORY, w.DESCRIPTION, w.BRAND)
    ),
    "item_name": Concept(
        ((w.ITEM, w.NAME), (w.ITEM, w.DESCRIPTION), (w.LINE, w.NAME), (w.DESCRIPTION,), (w.ITEM,)),
        TEXTS, (w.ID, w.SKU, w.USER, w.CATEGORY, w.STORE, w.STATUS),
    ),
    "quantity": Concept(((w.QUANTITY,),), NUMBERS, (w.PRICE, w.AMOUNT, w.STATUS)),
    "unit_price": Concept(((w.UNIT, w.PRICE), (w.ITEM, w.PRICE), (w.PRICE,)), NUMBERS, (w.AMOUNT, w.SUB)),
    "amount": Concept(
        ((w.LINE, w.AMOUNT), (w.NET, w.SALES), (w.NET, w.AMOUNT), (w.SALES,), (w.ITEM, w.AMOUNT), (w.AMOUNT,),
         (w.BILL, w.AMOUNT), (w.GROSS, w.AMOUNT), (w.SUB, w.AMOUNT), (w.GROSS, w.SALES)),
        NUMBERS, (w.UNIT, w.QUANTITY, w.ID),
    ),
    "discount": Concept(((w.DISCOUNT,),), NUMBERS, (w.ID,)),
    "refund": Concept(((w.REFUND, w.AMOUNT),), NUMBERS, (w.ID,)),
    "status": Concept(((w.STATUS,),), TEXTS, (w.REGION,)),
    "currency": Concept(((w.CURRENCY,),), TEXTS),
    "category": Concept(((w.ITEM, w.CATEGORY), (w.CATEGORY,), (w.CATEGORY, w.NAME)), IDS, (w.SUB, w.USER, w.ID)),
    "subcategory": Concept(((w.SUB, w.CATEGORY),), IDS),
    "department": Concept(((w.DEPARTMENT,),), IDS),
    "brand": Concept(((w.BRAND,),), TEXTS),
    "city": Concept(((w.CITY,),), TEXTS),
    "region": Concept(((w.REGION,),), TEXTS),
    "country": Concept(((w.COUNTRY,),), TEXTS),
    "joined_at": Concept(((w.JOINED,), (w.USER, w.DATE), (w.DATE,)), TIMES, (w.BILL,)),
}  # fmt: skip
# Meanings that make of a column something else, where a concept does not ask for them.
ELSE = frozenset({w.OTHER, w.TAX, w.SHIPPING, w.COST, w.REFUND, w.DISCOUNT, w.EMAIL, w.CURRENCY, w.STATUS, w.JOINED})
# What a name says alone where it stands in a table of something.
BARE = frozenset({w.ID, w.NAME, w.DATE, w.DESCRIPTION, w.PRICE, w.TIME})
SUBJECTS = (w.LINE, w.BILL, w.ITEM, w.USER, w.STORE, w.CATEGORY)
FEW = 30
# How MongoDB's exports write the type of a value: {"_id": {"$oid": …}}.
MONGODB = ".$"


@dataclass
class Meanings:
    """What the columns of a sample mean. ``subject`` is what its table is of, by its name."""

    sample: Sample
    taken: set[str] = field(default_factory=set)

    @cached_property
    def subject(self) -> Tags:
        """The things that the table's name says it is of; of arrays in records, lines."""
        if self.sample.array:
            return frozenset([w.LINE, w.ITEM]) & (w.meaning(self.sample.array) | {w.LINE})
        tags = w.meaning(self.sample.name)
        subjects = frozenset(subject for subject in SUBJECTS if subject in tags)
        return subjects or (frozenset([w.BILL]) if self._are_payments else subjects)

    @property
    def _are_payments(self) -> bool:
        """Whether rows have a number of their own, a day and an amount, and no other number of a bill."""
        columns = self.sample.columns
        tags = {name: w.meaning(name) for name in self.sample.names
                if "." not in name.replace(MONGODB, "_") and columns[name].filled}  # fmt: skip
        has_bill = any(of >= {w.BILL, w.ID} for of in tags.values())
        own = [name for name, of in tags.items() if of == {w.ID} and w.is_known(name)]
        has_both = any(w.DATE in of for of in tags.values()) and any(w.AMOUNT in of for of in tags.values())
        return not has_bill and has_both and any(columns[name].is_key for name in own)

    @cached_property
    def tags(self) -> dict[str, Tags]:
        """The meanings of each column's name, where it stands."""
        return {name: self._tags(name) for name in self.sample.names}

    def all(self, concept: str) -> list[str]:
        """The columns that may be a concept, the likeliest first."""
        scores = {name: score for name in self.sample.names if (score := self._score(name, CONCEPTS[concept]))}
        return sorted(scores, key=lambda name: (-scores[name], self.sample.names.index(name)))

    def best(self, concept: str) -> str:
        """The likeliest column for a concept; blank where there is none."""
        return next(iter(self.all(concept)), "")

    @cached_property
    def unnamed_times(self) -> list[str]:
        """The columns of times, or of counts of seconds, whose names say nothing of which time it is."""
        columns = self.sample.columns
        return [name for name, tags in self.tags.items() if not tags - {w.BILL} and _holds_times(columns[name])]

    def _tags(self, name: str) -> Tags:
        inner = f"{self.sample.array}."
        if self.sample.array and name.startswith(inner):
            tags = w.meaning(name.removeprefix(inner))
            return tags | self.subject if tags <= BARE and w.is_known(name.removeprefix(inner)) else tags
        *above, _ = name.replace(MONGODB, "_").split(".")
        tags = w.meaning(name)
        if tags - {w.LINE, w.ITEM} in ({w.NET}, {w.GROSS}) and w.is_known(name):  # what is said alone is said of money
            return tags | {w.AMOUNT}
        if above or not tags <= BARE or not w.is_known(name):
            return tags
        subject = self.subject - {w.LINE} if self.sample.array else self.subject
        if self.sample.array:  # what stands beside the array is of the record
            return tags | {w.BILL} if tags & {w.ID, w.DATE} else tags
        first = next((one for one in SUBJECTS if one in subject), "")
        return tags | {first} if first and tags != {w.DATE} else tags

    def _score(self, name: str, concept: Concept) -> float:
        tags, column = self.tags[name], self.sample.columns[name]
        if column.kind not in concept.kinds or not column.filled:
            return 0
        if column.kind == "number" and concept.kinds == TIMES and not column.count_format:
            return 0
        wanted = frozenset(tag for meaning in concept.meanings for tag in meaning)
        if tags & (ELSE - wanted) or tags & frozenset(concept.forbidden):
            return 0
        score = 0.0
        for place, meaning in enumerate(concept.meanings):
            if tags >= frozenset(meaning):
                extra = len(tags - frozenset(meaning))
                score = max(score, 100 - 6 * place - 4 * extra)
        unknown = max(0, len(w.tokens(name.split(".")[-1])) - len(tags))
        emptiness = 1 - column.filled / max(len(column.values), 1)
        return max(score - unknown - 20 * emptiness * (concept.kinds == IDS), 1.0) if score else 0


def _holds_times(column: Column) -> bool:
    return column.kind == "time" or (column.kind == "number" and column.count_format.startswith("epoch"))
