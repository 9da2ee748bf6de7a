"""The users who are forgotten: a list that keeps landing from bringing them back, and that names nobody.

A source still sends a user whom we were told to forget. ``suppression/forgotten`` therefore keeps, of each such user
and of each of their bills, the HMAC-SHA256 under the customer's key; the ids themselves are kept nowhere. A bill on
which somebody else stands as well is kept as ``shared``: it stays, and is not asked for again at every landing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from capflow_assets.contract import Column, Table
from capflow_assets.errors import GraphError
from capflow_assets.expressions.ids import BLANKS, normal
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.places import files_below
from capflow_assets.stores.table_damage import damaged_table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    Batches = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

SUPPRESSION = "suppression/forgotten"
FORGOTTEN = Table(
    grain="forgotten user, or bill of one",
    key=("kind", "digest"),
    columns=(
        Column("kind", "string", "What is forgotten.", required=True, one_of=("user", "bill", "shared")),
        Column("digest", "string", "HMAC-SHA256 of its id under the customer's key.", required=True),
    ),
)
# Ids whose digests a worker keeps at hand.
MOST_REMEMBERED = 200_000
Kind = Literal["user", "bill", "shared"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The digests of what must not land again."""

    users: frozenset[str] = frozenset()
    bills: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


def digest(key: bytes, kind: Kind | Literal["address"], identifier: str) -> str:
    """What stands for an id in its normal form, as 64 hexadecimal digits.

    >>> digest(b"k", "user", " 12\xa0") == digest(b"k", "user", "12") != digest(b"k", "bill", "12")
    True
    """
    return hmac.digest(key, f"forgotten {kind} {normal(identifier)}".encode(), "sha256").hex()


def is_anybody_forgotten(lake: Lake, customer: str) -> bool:
    """Whether the customer has a list of forgotten users.

    Raises:
        TableError: it has one that cannot be read: without it, rows of forgotten users would land again.
    """
    path = lake.path(customer, SUPPRESSION)
    is_there = lake.exists(customer, SUPPRESSION)
    broken = lake.damage(customer, SUPPRESSION)
    if not is_there and not broken and files_below(path):
        broken = "there are files, and no log that names them"
    if broken:
        raise damaged_table(customer, SUPPRESSION, path, broken)
    return is_there


def forgotten(lake: Lake, customer: str) -> Forgotten | None:
    """Whom this customer's landings leave out; None where nobody was forgotten."""
    if not is_anybody_forgotten(lake, customer):
        return None
    rows = lake.arrow(customer, SUPPRESSION).to_pylist()
    kinds = ("user", "bill", "shared")
    return Forgotten(*(frozenset(row["digest"] for row in rows if row["kind"] == kind) for kind in kinds))


def remember(lake: Lake, customer: str, kind: Kind, digests: Collection[str]) -> int:
    """Put digests on the list and give how many of them are new there."""
    import pyarrow as pa
    from deltalake import write_deltalake

    suppressed = forgotten(lake, customer) or Forgotten()
    new = sorted(set(digests) - {"user": suppressed.users, "bill": suppressed.bills, "shared": suppressed.shared}[kind])
    if new:
        rows = pa.table({"kind": pa.array([kind] * len(new), pa.string()), "digest": pa.array(new, pa.string())})
        write_deltalake(lake.path(customer, SUPPRESSION), rows, mode="append")
    return len(new)


def without_forgotten(lake: Lake, customer: str, frame: DataFrame, key: bytes) -> DataFrame:
    """A conformed frame without the rows of forgotten users, and without rows of nobody that stand on their bills.

    New bills of a forgotten user, whom the source still knows, go on the list, so that their line items do not land
    either; for that the frame is read once more. The key travels inside of functions, not in what engines show.

    Raises:
        GraphError: there are forgotten users, and no key to tell them by.
    """
    suppressed = forgotten(lake, customer)
    if suppressed is None or not {"user_id", "bill_id"} & set(frame.columns):
        return frame
    if not key:
        do = "give the landing the customer's key, as customer_tables does"
        raise GraphError(f"Users of {customer} are forgotten, and without a key nobody can tell whose rows come", do=do)
    if {"user_id", "bill_id"} <= set(frame.columns) and _learn_bills(lake, customer, frame, suppressed, key):
        suppressed = forgotten(lake, customer) or suppressed
    return frame.mapInArrow(_rows_without(suppressed, key), frame.schema)


def rows_of_forgotten(lake: Lake, customer: str, frame: DataFrame, key: bytes) -> int:
    """How many rows ``without_forgotten`` leaves out of a frame, which is read once more for it."""
    suppressed = forgotten(lake, customer)
    ids = [name for name in ("user_id", "bill_id") if name in frame.columns]
    if suppressed is None or not ids:
        return 0
    counts = frame.select(*ids).mapInArrow(_counted(_rows_without(suppressed, key)), "rows bigint").collect()
    return sum(row[0] for row in counts)


def _counted(function: Batches) -> Batches:
    """The function that gives how many rows of each batch another one leaves out."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            left = sum(part.num_rows for part in function([batch]))
            yield pa.record_batch([pa.array([batch.num_rows - left], pa.int64())], names=["rows"])

    return run


def _learn_bills(lake: Lake, customer: str, frame: DataFrame, suppressed: Forgotten, key: bytes) -> int:
    """Put the bills of forgotten users on the list that are not there yet; how many of them are theirs alone."""
    pairs = frame.select("user_id", "bill_id")

    def asked(function: Batches) -> set[str]:
        return {row[0] for row in pairs.mapInArrow(function, "digest string").distinct().collect()}

    new = asked(_bills_of(suppressed, key))
    shared = asked(_bills_of_others(suppressed, new, key)) if new else set()
    remember(lake, customer, "shared", shared)
    return remember(lake, customer, "bill", new - shared)


def _bills_of(suppressed: Forgotten, key: bytes) -> Batches:
    """The function that gives the digests of the bills of forgotten users that are not on the list."""
    digest_of, gone, listed = _digests(key, suppressed.users), suppressed.users, suppressed.bills | suppressed.shared

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            theirs = [user in gone for user in digest_of(batch.column("user_id"), "user")]
            bills = digest_of(batch.column("bill_id").filter(pa.array(theirs, pa.bool_())), "bill")
            new = sorted(set(filter(None, bills)) - listed)
            yield pa.record_batch([pa.array(new, pa.string())], names=["digest"])

    return run


def _bills_of_others(suppressed: Forgotten, bills: Collection[str], key: bytes) -> Batches:
    """The function that gives those of the ``bills`` on which a user stands who is not forgotten."""
    digest_of, gone, wanted = _digests(key, suppressed.users), suppressed.users, frozenset(bills)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            others = [user is not None and user not in gone for user in digest_of(batch.column("user_id"), "user")]
            bills = digest_of(batch.column("bill_id").filter(pa.array(others, pa.bool_())), "bill")
            yield pa.record_batch([pa.array(sorted(wanted & set(bills)), pa.string())], names=["digest"])

    return run


def _rows_without(suppressed: Forgotten, key: bytes) -> Batches:
    """The function that leaves out the rows of forgotten users, and those of nobody on their bills."""
    digest_of, gone, gone_bills = _digests(key, suppressed.users), suppressed.users, suppressed.bills

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            names = batch.schema.names
            users = digest_of(batch.column("user_id"), "user") if "user_id" in names else [None] * batch.num_rows
            stays = [user not in gone for user in users]
            nobodys = [place for place, user in enumerate(users) if user is None]
            if "bill_id" in names and gone_bills and nobodys:
                bills = digest_of(batch.column("bill_id").take(pa.array(nobodys)), "bill")
                for place, bill in zip(nobodys, bills, strict=True):
                    stays[place] = bill not in gone_bills
            yield batch if all(stays) else batch.filter(pa.array(stays, pa.bool_()))

    return run


def digests_of_user(key: bytes, user: str, is_hashed: bool) -> list[str]:
    """What the list keeps of a user. Where ids are hashed, an e-mail address is one user in any case (``pseudonym``).

    >>> one, other = (set(digests_of_user(b"k", user, True)) for user in ("Ann@x.org", "ann@X.org"))
    >>> len(one & other), len(digests_of_user(b"k", "Ann@x.org", False))
    (1, 1)
    """
    address = [digest(key, "address", user.lower())] if is_hashed and "@" in user else []
    return [digest(key, "user", user), *address]


def _digests(key: bytes, gone: Collection[str]) -> Callable[[pa.Array, str], list[str | None]]:
    """The function that gives the digest of each id of a column, None for null and blank ones.

    Of an e-mail address that is ``gone`` in any case it is that which says so.
    """
    remembered: dict[tuple[str, str], str | None] = {}

    # Engines run this in processes of their own, where this package need not be installed.
    blanks = BLANKS

    def digests(column: pa.Array, kind: str) -> list[str | None]:
        encoded = column.dictionary_encode()
        if len(remembered) > MOST_REMEMBERED:
            remembered.clear()
        known = []
        for text in encoded.dictionary.to_pylist():
            if (kind, text) not in remembered:
                plain = normalize("NFC", text.strip(blanks))
                said = f"forgotten {kind} {plain}".encode()
                remembered[kind, text] = hmac.digest(key, said, "sha256").hex() if plain else None
                if kind == "user" and "@" in plain:
                    address = hmac.digest(key, f"forgotten address {plain.lower()}".encode(), "sha256").hex()
                    remembered[kind, text] = address if address in gone else remembered[kind, text]
            known.append(remembered[kind, text])
        return [None if place is None else known[place] for place in encoded.indices.to_pylist()]

    return digests
