"""Who bought: ids that stand for nobody, the id by which people come back, and the table of users. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from capflow_assets.drafting import words as w
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.profiles import Column
from capflow_assets.drafting.roles import Roles, key_of
from capflow_assets.drafting.tables import drafted, user_names
from capflow_assets.drafting.times import moment
from capflow_assets.expressions.nobody import PERHAPS_NOBODY
from capflow_assets.landing.personal_names import personal_source, plain_name

MOST_GROUPS = 50
FEW_BILLS, MOST_ROWS_EACH = 20, 20
SHORT_NUMBERS = ("0", "-1")
NO_USERS = ("0", "GUEST", "guest", "Gast", "gast", "anonymous", "ANONYMOUS", "-1", "999999")


def nobody(roles: Roles, questions: list[str]) -> Guess | None:
    """Ids of users that stand for nobody: words for guests, or one that stands on far more bills than any other.

    A number is never sure to be nobody: a person is asked, also where it is left a user.
    """
    for meanings in (roles.bills, roles.lines):
        name = meanings.best("user_id") if meanings else ""
        if not meanings or not name:
            continue
        counts = _bills_of_users(meanings, name)
        words = [str(value) for value in counts if str(value) in NO_USERS or PERHAPS_NOBODY.fullmatch(str(value))]
        numbers = [word for word in words if word.strip("-").isdigit()]
        is_of_bills = meanings is roles.bills or bool(meanings.best("bill_id"))
        figures = {word: _figures(counts, word, "bills" if is_of_bills else "lines") for word in numbers}
        often = [word for word in words if _stands_often(counts, word)]
        questions += [_is_it_nobody(word, often, figures[word]) for word in numbers if word in (*often, *SHORT_NUMBERS)]
        if often:
            why = "; ".join(f"{word}: {figures.get(word, 'a word for guests')}" for word in often)
            return Guess(often, why, is_unsure=any(word in numbers for word in often))
    return None


def _bills_of_users(meanings: Meanings, name: str) -> Counter[object]:
    """On how many bills of the sample each user stands; on how many rows, where no column has a bill's number."""
    bill = meanings.best("bill_id")
    if not bill:
        return meanings.sample.columns[name].counts
    pairs = {pair for pair in meanings.sample.pairs(bill, name) if None not in pair}
    return Counter(user for _, user in pairs)


def _figures(counts: Mapping[object, int], word: str, rows: str) -> str:
    """On how many rows of the sample an id stands, and on how many the most frequent other."""
    own = sum(count for value, count in counts.items() if str(value) == word)
    most = max((count for value, count in counts.items() if str(value) != word), default=0)
    return f"it stands on {own:,} {rows} of the sample, the next user on {most:,}"


def _is_it_nobody(word: str, often: Sequence[str], figures: str) -> str:
    taken = "it is taken for guests" if word in often else f'if it is guests, say not_a_user = ["{word}"]'
    return f"is user {word} a person? {figures.capitalize()}; {taken}"


def _stands_often(counts: Mapping[object, int], word: str) -> bool:
    own = sum(count for value, count in counts.items() if str(value) == word)
    others = sorted((count for value, count in counts.items() if str(value) != word), reverse=True)
    return not word.strip("-").isdigit() or not others or own > (1 if word in ("0", "-1") else 3) * others[0]


def returning_user(roles: Roles) -> str:
    """The column of the list of users by which people come back, where bills number theirs anew; else blank.

    Each bill has a user of its own, the list has each of these once, and beside it one other id, which stands on
    several of its rows: bill to user is one to one, user to person many to one.
    """
    if roles.bills is None or roles.users is None:
        return ""
    name = next(iter(user_names(roles.bills)), "")
    bills, people = roles.bills.sample, roles.users.sample
    if not name or name not in people.names or not (bills.columns[name].is_key and people.columns[name].is_key):
        return ""
    others = [other for other in user_names(roles.users) if other != name and w.ID in roles.users.tags[other]]
    fitting = [other for other in others if _is_of_few_each(people.columns[other])]
    return fitting[0] if len(fitting) == 1 and len(bills.rows) >= FEW_BILLS else ""


def _is_of_few_each(column: Column) -> bool:
    """Whether every row has an id, and an id stands on a few rows, as a person's does and a town's does not."""
    return (
        column.repeats and column.filled == len(column.values) and column.filled <= MOST_ROWS_EACH * len(column.counts)
    )


def name_returning_users(table: TableDraft, roles: Roles) -> None:
    """Name each bill's user by the id by which people come back, where it stands in the list of users alone."""
    person = returning_user(roles)
    if not person or roles.bills is None or roles.users is None:
        return
    own, listed = user_names(roles.bills)[0], drafted("users", roles.users.sample)
    why = f"{own} is another one on each bill; by {person} of {roles.users.sample.name} people come back"
    table.columns["user_id"] = Guess(person, why)
    table.inputs = {"heads": drafted("bills", roles.bills.sample), "people": listed}
    on = f"on people.{quoted(own)} = head.{quoted(own)}"
    table.query = Guess(f"select head.*, people.{quoted(person)}\nfrom heads head\nleft join people people {on}")


def users(roles: Roles, questions: list[str]) -> TableDraft | None:
    """The list of users: where they live and what groups they are of, and none of what names them."""
    if roles.users is None:
        return None
    meanings, sample = roles.users, roles.users.sample
    table = drafted("users", sample)
    key = key_of(meanings, "user_id")
    if person := returning_user(roles):
        return _listed_people(table, roles, person)
    table.columns["user_id"] = Guess(key)
    joined = moment(meanings, "joined_at")
    if joined is not None:
        table.columns["joined_at"] = joined.value
        table.options |= joined.options
        questions += joined.questions
    places = {place: meanings.best(place) for place in ("city", "region", "country")}
    table.columns |= {place: Guess(name) for place, name in places.items() if name}
    _add_attributes(table, meanings)
    return table


def _listed_people(table: TableDraft, roles: Roles, person: str) -> TableDraft:
    """The list of users with a row for each who comes back: of what stands on several rows, the last by its letters."""
    assert roles.users is not None  # noqa: S101  (its caller asks)
    places = {place: roles.users.best(place) for place in ("city", "region", "country")}
    table.columns = {"user_id": Guess(person)} | {place: Guess(place) for place, name in places.items() if name}
    table.inputs = {"people": drafted("users", roles.users.sample)}
    kept = ", ".join(f"max({quoted(name)}) as {place}" for place, name in places.items() if name)
    chosen = ", ".join(filter(None, (quoted(person), kept)))
    table.query = Guess(f"select {chosen}\nfrom people\ngroup by {quoted(person)}", "one row for each who comes back")
    return table


def _add_attributes(table: TableDraft, meanings: Meanings) -> None:
    """Add the groups that users are of, and say which columns name them and are left out."""
    sample = meanings.sample
    taken = {str(guess.value) for guess in table.columns.values()}
    left_out = []
    for name, column in sample.columns.items():
        if name in taken:
            continue
        if personal_source(name) or meanings.tags[name] & {w.EMAIL, w.NAME}:
            left_out.append(name)
        elif w.ID in meanings.tags[name]:
            continue
        elif column.kind in ("text", "truth") and 1 < len(column.counts) <= min(MOST_GROUPS, len(sample.rows) // 2):
            table.columns[_attribute(name, table)] = Guess(name, f"{len(column.counts)} groups")
    if left_out:
        table.notes.append(f"left out, since they name people: {', '.join(left_out[:12])}")


def _attribute(name: str, table: TableDraft) -> str:
    plain = plain_name(name.replace(".", "_"))[:60] or "attribute"
    plain = plain if plain[0].isalpha() else f"a_{plain}"
    return plain if plain not in table.columns else f"{plain}_2"
