"""The tables of a draft beside line items and users: bills, items and stores."""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.roles import Roles, key_of
from capflow_assets.drafting.samples import Link, Sample
from capflow_assets.drafting.times import moment
from capflow_assets.landing.personal_names import personal_source

SPOILT_ID = ".0"
ITEM_COLUMNS = {
    "name": "item_name", "category": "category", "subcategory": "subcategory", "department": "department",
    "brand": "brand", "price": "unit_price",
}  # fmt: skip
OF_OTHERS = frozenset({w.CATEGORY, w.DEPARTMENT, w.BRAND, w.SUB, w.CITY, w.REGION, w.COUNTRY, w.USER, w.COMPANY})


def drafted(name: str, sample: Sample) -> TableDraft:
    """A table that reads a sample's store, written as that is."""
    options = {key: Guess(value, sample.reasons.get(key, "")) for key, value in sample.options.items()}
    table = TableDraft(name, sample.source, sample.location, options, notes=list(sample.notes))
    if sample.array and sample.source == "parquet":  # which has no option for it, as JSON has
        around = dict.fromkeys(column.partition(".")[0] for column in sample.names)
        kept = "".join(f"{quoted(column)}, " for column in around if column != sample.array)
        array = quoted(sample.array)
        table.query = Guess(f"select {kept}explode({array}) as {array}\nfrom records", "a row for each of the array")
        table.inputs = {"records": TableDraft("records", sample.source, sample.location, dict(options))}
    return table


def user_names(meanings: Meanings) -> list[str]:
    """The columns that may say who bought, the likeliest first.

    Of a customer's number and that of a payment's card, people come back with the former.
    """
    sample = meanings.sample
    names = [name for name in meanings.all("user_id") if not personal_source(name) and not _is_of_people(sample, name)]
    names = [name for name in names if not (sample.array and name.startswith(f"{sample.array}."))]
    return sorted(names, key=lambda name: not sample.columns[name].repeats)


def user_id(meanings: Meanings) -> tuple[Guess | None, Guess | None]:
    """Who bought, and the columns that have to be hashed: an e-mail address is the id where there is no other."""
    if names := user_names(meanings):
        column = meanings.sample.columns[names[0]]
        texts = [str(value) for value in column.judged[:500]]
        if texts and all(text.endswith(SPOILT_ID) for text in texts):
            return Guess(f"regexp_replace({quoted(names[0])}, '[.]0$', '')", "numbers that a program spoilt"), None
        return Guess(names[0]), None
    if email := meanings.best("email"):
        hashed = Guess(["user_id"], "the address is hashed: it names a person")
        return Guess(f"lower({quoted(email)})", "users are known by their e-mail address"), hashed
    return None, None


def store_of(meanings: Meanings) -> str:
    """The column of the store; blank where a column that is partly called so says the same of every bill."""
    names = meanings.all("store_id")
    return next((name for name in names if w.is_known(name) or len(meanings.sample.columns[name].counts) > 1), "")


def _is_of_people(sample: Sample, name: str) -> bool:
    """Whether values are e-mail addresses or names of several words."""
    texts = [value for value in sample.columns[name].judged[:200] if isinstance(value, str)]
    return bool(texts) and sum("@" in text or " " in text for text in texts) > 0.5 * len(texts)


def bills(roles: Roles, questions: list[str]) -> TableDraft | None:
    """The table of bills where one is sent; amounts are checked against those of lines by whoever drafts these."""
    if roles.bills is None:
        return None
    meanings, sample = roles.bills, roles.bills.sample
    table = drafted("bills", sample)
    if meanings.best("bill_id"):
        table.columns["bill_id"] = Guess(key_of(meanings, "bill_id"))
    guess, table.personal = user_id(meanings)
    if guess is not None:
        table.columns["user_id"] = guess
    else:
        questions.append("no column says who bought: bills are anonymous")
    when = moment(meanings)
    if when is not None:
        table.columns["billed_at"] = when.value
        table.options |= when.options
        questions += when.questions
    if store := store_of(meanings):
        table.columns["store_id"] = Guess(store)
    return table


def items(roles: Roles, lines_table: TableDraft | None) -> TableDraft | None:
    """The list of items: a table of its own, joined with that of its groups, or what the lines call each item."""
    if roles.items is not None:
        return _listed_items(roles)
    lines = roles.lines
    if lines is None or lines_table is None:
        return None
    wanted = {column: lines.all(concept) for column, concept in ITEM_COLUMNS.items() if column != "price"}
    fitting = {column: [name for name in names if _is_of_the_item(lines, name)] for column, names in wanted.items()}
    own = str(lines_table.columns["item_id"].value)
    known = {column: names[0] for column, names in fitting.items() if names and names[0] != own}
    if not known:
        return None
    table = drafted("items", lines.sample)
    table.options = {key: guess for key, guess in table.options.items() if not key.endswith("_format")}
    table.notes = ["the catalogue is what the lines call each item"]
    item = Guess(lines_table.columns["item_id"].value)
    table.columns = {"item_id": item} | {column: Guess(name) for column, name in known.items()}
    return table


def _is_of_the_item(lines: Meanings, name: str) -> bool:
    """Whether nearly each item has one value; those of several are the likelier a mistyped name than another thing."""
    item = lines.best("item_id")
    inner = not lines.sample.array or name.startswith(f"{lines.sample.array}.")
    return inner and (not item or item == name or lines.sample.determines(item, name, at_most=0.3))


def _listed_items(roles: Roles) -> TableDraft:
    assert roles.items is not None  # noqa: S101  (its caller asks)
    meanings, sample = roles.items, roles.items.sample
    table = drafted("items", sample)
    shared = _shared_key(roles) or key_of(meanings, "item_id")
    table.columns["item_id"] = Guess(shared, "as the lines name it" if _shared_key(roles) else "")
    for column, concept in ITEM_COLUMNS.items():
        name = meanings.best(concept)
        if name and name != shared and name not in {guess.value for guess in table.columns.values()}:
            table.columns[column] = Guess(name)
    if "name" not in table.columns and (called := _name_of(meanings, shared)):
        table.columns["name"] = Guess(called)
    if "category" not in table.columns:
        _join_groups(table, sample, roles)
    return table


def _shared_key(roles: Roles) -> str:
    """The column of the list that the lines' item is in, by foreign key, by name, or by its values."""
    if roles.lines is None or roles.items is None:
        return ""
    lines, listed = roles.lines.sample, roles.items.sample
    for name in roles.lines.all("item_id"):
        linked = next((link.to for link in lines.links if link.column == name and link.table == listed.name), "")
        if linked or name in listed.names:
            return linked or name
    item = roles.lines.best("item_id")
    values = {str(value) for value in lines.columns[item].counts} if item else set()
    for name in roles.items.all("item_id"):
        own = {str(value) for value in listed.columns[name].counts}
        if values and len(values & own) >= 0.8 * len(values):
            return name
    return ""


def _join_groups(table: TableDraft, sample: Sample, roles: Roles) -> None:
    """The name of an item's group out of a table of groups: by a foreign key, or by a column of one name."""
    for other in roles.every:
        if w.CATEGORY not in other.subject or other.sample is sample:
            continue
        key, name = _group_columns(sample, other)
        if not key or not name:
            continue
        own = next((link.column for link in sample.links if link.table == other.sample.name), key)
        kept = ", ".join(f"i.{quoted(column)}" for column in sample.names)
        joined = f"select {kept}, g.{quoted(name)} as category_name"
        on = f"on g.{quoted(key)} = i.{quoted(own)}"
        table.query = Guess(f"{joined}\nfrom list i\nleft join groups g {on}", "its group's name is in another table")
        table.inputs = {"list": drafted("list", sample), "groups": drafted("groups", other.sample)}
        table.columns["category"] = Guess("category_name")
        roles.others = [(one, why) for one, why in roles.others if one is not other]
        return


def _group_columns(sample: Sample, other: Meanings) -> tuple[str, str]:
    linked: Link | None = next((link for link in sample.links if link.table == other.sample.name), None)
    columns = other.sample.columns
    keys = [name for name in other.sample.names if columns[name].is_key and (name in sample.names)]
    key = linked.to if linked else next(iter(keys), "")
    names = [name for name in other.sample.names if name != key and columns[name].kind == "text"]
    best = next((name for name in names if {w.NAME, w.CATEGORY} & other.tags[name]), next(iter(names), ""))
    return key, best


def stores(roles: Roles) -> TableDraft | None:
    """The list of stores."""
    if roles.stores is None:
        return None
    meanings = roles.stores
    table = drafted("stores", meanings.sample)
    key = key_of(meanings, "store_id")
    table.columns["store_id"] = Guess(key)
    wanted = {"city": meanings.best("city"), "region": meanings.best("region"), "name": _name_of(meanings, key)}
    table.columns |= {column: Guess(name) for column, name in wanted.items() if name}
    return table


def _name_of(meanings: Meanings, key: str) -> str:
    """The column of what a list's rows are called: a name, and not that of their group, brand or place."""
    named: Sequence[str] = [
        name for name in meanings.sample.names
        if w.NAME in meanings.tags[name] and name != key and not meanings.tags[name] & OF_OTHERS
    ]  # fmt: skip
    return next((name for name in named if meanings.sample.columns[name].kind == "text"), "")
