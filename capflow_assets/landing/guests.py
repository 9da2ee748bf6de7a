"""Rows of nobody: ids that stand for no user, and guests in tables that are about users.

A till writes ``0`` or ``GUEST`` where no card was shown; a customer's TOML names such words (``not_a_user``), and
wherever one stands as a user's id, nobody stands there. A list of users may hold guests as well, who ordered without an
account: rows without an id. They are no users and no broken rows: they are set aside with a reason of their own, and
counted apart from the rejected ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from unicodedata import normalize

from capflow_assets.contract import Table
from capflow_assets.expressions import ids
from capflow_assets.landing.personal import OWNER

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

GUEST = "guest: no user stands on the row"


def somebody(user: Expression, not_a_user: Collection[str]) -> Expression:
    """A user's id without blanks around it; null where it is one of those that are no user, composed or not."""
    from pyspark.sql import functions as F

    words = {ids.normal(word) for word in not_a_user}
    spellings = sorted(words | {normalize("NFD", word) for word in words})
    return F.when(~user.isin(*spellings), user) if spellings else user


def reason(otherwise: Expression, table: Table, mapping: Collection[str], not_a_user: Collection[str]) -> Expression:
    """Why a row cannot land: as a guest's where a user has to stand on it and nobody does, else ``otherwise``.

    In a list of users that is every row without an id; elsewhere those alone whose id is ``not_a_user``: a message to
    nobody is broken. A row of which the source complains is no guest's.
    """
    from pyspark.sql import functions as F

    from capflow_assets.landing import mappings, rules, values

    if OWNER not in mapping or not may_hold(table):
        return otherwise
    is_guest = F.col(OWNER).isNull() & ~rules.is_unfit()
    if table.key != (OWNER,):
        if not not_a_user:
            return otherwise
        written = values.trimmed(mappings.source(OWNER).cast("string"))
        is_guest = is_guest & written.isNotNull() & (written != "")
    return F.when(is_guest, F.lit(GUEST)).otherwise(otherwise)


def may_hold(table: Table) -> bool:
    """Whether guests can stand in a table: each row of it is about a user."""
    return any(column.name == OWNER and column.required for column in table.columns)
