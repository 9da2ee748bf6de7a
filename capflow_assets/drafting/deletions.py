"""Rows that a program keeps and calls deleted: by the time of it, or by a flag. Pure."""

from __future__ import annotations

from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, quoted, words_in
from capflow_assets.drafting.profiles import Column
from capflow_assets.drafting.samples import Sample
from capflow_assets.landing.personal_names import plain_name

_TIMES = (
    "deleted_at deleted_on deleted_date deleted_time date_deleted deletion_date deletedat deleteddate removed_at "
    "voided_at geloescht_am geloeschtam loeschdatum supprime_le eliminado_en eliminato_il verwijderd_op"
)
_FLAGS = (
    "deleted is_deleted isdeleted _deleted _fivetran_deleted fivetran_deleted is_removed removed voided is_voided "
    "geloescht ist_geloescht supprime eliminado eliminato verwijderd deleted_flag delete_flag"
)
TIMES = frozenset(plain_name(name) for name in _TIMES.split())
FLAGS = frozenset(plain_name(name) for name in _FLAGS.split())
MARKS = ("true", "t", "yes", "y", "1", "ja", "j", "oui", "si", "x")


def kept_rows(meanings: Meanings, *, of_the_line: bool = False) -> Guess | None:
    """The condition that leaves out rows which are marked as deleted; None where no row is, or all are.

    Of an array's elements, ``of_the_line`` asks for their own marks, else for those of the record around them.
    """
    sample = meanings.sample
    for name, column in sample.columns.items():
        if is_inner(sample, name) is not of_the_line and sample.array:
            continue
        condition, share = _condition(name, column)
        if condition:
            return Guess(condition, f"{name} marks {100 * share:.1f} % of the rows as deleted")
    return None


def is_inner(sample: Sample, name: str) -> bool:
    """Whether a column is of the elements of a sample's array."""
    return bool(sample.array) and name.startswith(f"{sample.array}.")


def _condition(name: str, column: Column) -> tuple[str, float]:
    plain = plain_name(name.split(".")[-1])
    if plain in TIMES:
        is_time = column.kind == "time" or (column.kind == "number" and bool(column.count_format))
        share = column.filled / max(len(column.values), 1)
        return (f"{quoted(name)} is null", share) if is_time and 0 < share < 1 else ("", 0.0)
    if plain not in FLAGS:
        return "", 0.0
    marked = [value for value in column.values if value is not None and str(value).lower() in MARKS]
    share = len(marked) / max(len(column.values), 1)
    if not 0 < share < 1:
        return "", 0.0
    if column.is_text:
        return f"coalesce(lower({quoted(name)}), '') not in ({words_in(MARKS)})", share
    if column.kind == "truth":
        return f"not coalesce({quoted(name)}, false)", share
    return f"coalesce({quoted(name)}, 0) = 0", share
