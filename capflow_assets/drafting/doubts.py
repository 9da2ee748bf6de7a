"""What of a whole draft may be otherwise than it seems: users of one bill, ids in two spellings, several brands.

Pure.
"""

from __future__ import annotations

from itertools import pairwise

from capflow_assets.drafting import tables, users
from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.roles import Roles
from capflow_assets.errors import listed

FEW_BILLS = 50
MOST_DIFFERING = 0.01
MOST_SHARED = 0.2
MERGED = frozenset({"merged", "merge", "duplicate", "successor", "superseded", "zusammengefuehrt", "fusionne"})


def of(known: Roles) -> list[str]:
    """What to ask a person about samples whose roles are known."""
    brands, shared = _two_brands(known), _bills_in_several_files(known)
    rows = [] if brands or shared else _bills_of_several_rows(known)
    return brands + _merged_users(known) + shared + _users_of_one_bill(known) + _capitals(known) + rows


def _merged_users(known: Roles) -> list[str]:
    """Whether the list of users says that some have become others."""
    if known.users is None:
        return []
    names = [name for name in known.users.sample.names if MERGED & set(w.tokens(name))]
    filled = [name for name in names if 0 < known.users.sample.columns[name].filled < len(known.users.sample.rows)]
    words = "are these users who became others? Their bills stand under the old ids"
    return [f"{name}: {words}: a query of bills may give the new one, coalesce({name}, id)" for name in filled[:1]]


def _capitals(known: Roles) -> list[str]:
    """Whether ids of users differ from others in capitals alone."""
    meanings = known.bills or known.lines
    name = next(iter(tables.user_names(meanings)), "") if meanings else ""
    if meanings is None or not name:
        return []
    spellings: dict[str, set[str]] = {}
    for value in meanings.sample.columns[name].counts:
        spellings.setdefault(str(value).strip().casefold(), set()).add(str(value).strip())
    several = [sorted(written) for written in spellings.values() if len(written) > 1]
    if len(several) <= MOST_DIFFERING * len(spellings):
        return []
    pairs = listed((" and ".join(written) for written in several), most=2)
    return [f"{name}: ids differ in capitals alone, such as {pairs}: is each one user? Then map lower(`{name}`)"]


def _bills_of_several_rows(known: Roles) -> list[str]:
    """Whether a bill's number stands on several rows, where no column names an item: they may be lines."""
    if known.bills is None or known.lines is not None:
        return []
    name = known.bills.best("bill_id")
    column = known.bills.sample.columns.get(name)
    if column is None or column.filled - len(column.counts) <= MOST_DIFFERING * column.filled:
        return []
    return [f"{name} stands on several rows: are they lines of a bill? No column is recognised as what was bought"]


def _users_of_one_bill(known: Roles) -> list[str]:
    """Whether each bill has a user of its own, as where a shop numbers the people of each order anew."""
    if known.bills is None:
        return []
    name = next(iter(tables.user_names(known.bills)), "")
    column = known.bills.sample.columns.get(name)
    if column is None or not column.is_key or len(column.values) < FEW_BILLS:
        return []
    if users.returning_user(known):
        return []
    others = [one for one in known.users.all("user_id") if one != name] if known.users else []
    hint = f"; {known.users.sample.name} has {', '.join(others)} too" if others and known.users else ""
    return [f"{name} is another one on each bill: who is a user?{hint}"]


def _bills_in_several_files(known: Roles) -> list[str]:
    """Whether files of one kind share many numbers of bills: those of two brands or shops, or one file sent twice."""
    meanings = known.bills or known.lines
    name = meanings.best("bill_id") if meanings else ""
    if meanings is None or not name or len(meanings.sample.parts) < 2:
        return []
    numbers, place = meanings.sample.columns[name].values, 0
    of_files: list[tuple[str, set[object]]] = []
    for file, rows in meanings.sample.parts:
        of_files.append((file, set(numbers[place : place + rows]) - {None}))
        place += rows
    for (first, own), (second, others) in pairwise(of_files):
        share = len(own & others) / max(min(len(own), len(others)), 1)
        if share > MOST_SHARED:
            return [
                f"{name}: {100 * share:.0f} % of the numbers in {first} stand in {second} too: are these two "
                "brands? Then each is a customer of its own. Two shops? Map store_id by the option file_column. "
                "Or the same bills twice?"
            ]
    return []


def _two_brands(known: Roles) -> list[str]:
    """Whether bills are of several companies."""
    for meanings in (known.bills, known.lines):
        key = meanings.best("bill_id") if meanings else ""
        if meanings is None or not key:
            continue
        for name, tags in meanings.tags.items():
            column = meanings.sample.columns[name]
            is_company = bool(tags & {w.COMPANY, w.BRAND}) and 2 <= len(column.counts) <= 9 and column.repeats
            if not is_company:
                continue
            which = "one for each bill" if _is_of_the_bill(meanings, key, name) else ""
            if which or _numbers_bills_anew(meanings, key, name):
                values = ", ".join(map(repr, list(column.counts)[:5]))
                which = which or f"and {key} begins anew in each"
                return [f"{name} is {values}, {which}: are these several brands? Then each is a customer of its own: "
                        f"where = \"`{name}` = …\""]  # fmt: skip
    return []


def _is_of_the_bill(meanings: Meanings, key: str, name: str) -> bool:
    """Whether all rows of a bill have one value in a column."""
    return meanings.sample.share_of_several(key, name) <= MOST_DIFFERING


def _numbers_bills_anew(meanings: Meanings, key: str, name: str) -> bool:
    """Whether a number stands on bills of several moments, and of one moment within each value of a column."""
    time = meanings.best("billed_at")
    if not time:
        return False
    by_number: dict[object, set[object]] = {}
    by_value: dict[object, set[object]] = {}
    for number, value, moment in meanings.sample.pairs(key, name, time):
        by_number.setdefault(number, set()).add(moment)
        by_value.setdefault((number, value), set()).add(moment)
    return _several(by_number) > MOST_SHARED and _several(by_value) <= MOST_DIFFERING


def _several(values: dict[object, set[object]]) -> float:
    """The share of the keys that have several values."""
    return sum(len(of_key) > 1 for of_key in values.values()) / max(len(values), 1)
