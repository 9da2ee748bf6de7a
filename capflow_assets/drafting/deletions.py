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
        places = _marked(name, column)
        if places and (not sample.array or name.startswith(f"{sample.array}.") is of_the_line):
            share = 100 * len(places) / len(column.values)
            return Guess(_condition(name, column), f"{name} marks {share:.1f} % of the rows as deleted")
    return None


def deleted_rows(sample: Sample) -> frozenset[int]:
    """The places of a sample's rows that are marked as deleted."""
    return frozenset(place for name, column in sample.columns.items() for place in _marked(name, column))


def _marked(name: str, column: Column) -> list[int]:
    """The places of the rows that a column marks; none where it marks all, or is no mark."""
    plain, is_time = plain_name(name.split(".")[-1]), column.kind == "time" or bool(column.count_format)
    if plain in TIMES and is_time:
        places = [place for place, value in enumerate(column.values) if value is not None]
    elif plain in FLAGS:
        places = [place for place, value in enumerate(column.values) if str(value).lower() in MARKS]
    else:
        return []
    return places if len(places) < len(column.values) else []


def _condition(name: str, column: Column) -> str:
    if plain_name(name.split(".")[-1]) in TIMES:
        return f"{quoted(name)} is null"
    if column.is_text:
        return f"coalesce(lower({quoted(name)}), '') not in ({words_in(MARKS)})"
    return f"not coalesce({quoted(name)}, false)" if column.kind == "truth" else f"coalesce({quoted(name)}, 0) = 0"
