"""Records that come several times, as they change: which is the later one, and which lines are copies. Pure."""

from __future__ import annotations

from collections import Counter

from capflow_assets.drafting import words as w
from capflow_assets.drafting.lines import Lines
from capflow_assets.drafting.parts import Guess, TableDraft
from capflow_assets.drafting.roles import Roles
from capflow_assets.drafting.samples import Sample

_CHANGED = (
    "updated modified changed exported edited revised version aktualisiert geaendert modifie actualizado aggiornato"
)
CHANGED = frozenset(_CHANGED.split())
# As a share of the bills: fewer that came several times are no way of sending.
FEW = 0.001


def add_later_records(bills: TableDraft | None, of_lines: Lines | None, known: Roles, questions: list[str]) -> None:
    """Say which record of a bill holds where several came, by the column that tells when it changed; else ask.

    The lines of a bill go with its record where they stand within it; those of a file of their own are left alone.
    """
    if bills is None or known.bills is None or "bill_id" not in bills.columns:
        return
    sample, key = known.bills.sample, str(bills.columns["bill_id"].value)
    if key not in sample.columns or bills.query is not None or (known.lines and _are_lines(sample, known.lines.sample)):
        return
    column = sample.columns[key]
    several = sum(count > 1 for count in column.counts.values())
    if several <= FEW * len(column.counts):
        return
    share = f"{100 * several / len(column.counts):.1f} % of the bills came several times"
    inner = known.lines if known.lines is not None and known.lines.sample.array else None
    is_within = inner is not None and inner.sample.location == sample.location
    changed = next((name for name in sample.names if _says_when(sample, key, name)), "")
    if changed:
        guess = Guess(changed, f"{share}; the later one holds")
        bills.exports_by = guess
        if is_within and of_lines is not None and inner is not None and changed in inner.sample.columns:
            of_lines.table.exports_by = guess
    elif inner is not None:
        questions.append(f"{key}: {share}, and no column says which is the later: are they copies, or two bills? "
                         "exports_by can name what tells")  # fmt: skip
    if is_within and of_lines is not None and inner is not None and _has_copies(sample, key):
        is_sure = not _has_equal_lines(inner.sample, of_lines.bill, once_of(sample, key))
        why = "records came twice, unchanged; bills that came once have no equal lines"
        unsure = "records came twice, unchanged; but bills that came once have equal lines too"
        of_lines.table.equal_lines = Guess("drop", why if is_sure else unsure, is_unsure=not is_sure)
        if not is_sure:
            questions.append(f"{key}: unchanged records came twice, whose equal lines are dropped; so are those that "
                             "were bought twice on one bill. Is that right?")  # fmt: skip


def once_of(sample: Sample, key: str) -> set[object]:
    """The bills that have one record."""
    return {bill for bill, count in sample.columns[key].counts.items() if count == 1}


def _are_lines(sample: Sample, lines: Sample) -> bool:
    """Whether bills were made of the heads of lines: then a number stands on several rows by nature."""
    return not lines.array and sample.location == lines.location and sample.source != "sql"


def _says_when(sample: Sample, key: str, name: str) -> bool:
    """Whether a column is called after a change, is a time, and differs among some records of one bill."""
    is_named = bool(CHANGED & set(w.tokens(name))) and "." not in name
    column = sample.columns[name]
    is_time = column.kind == "time" or (column.kind == "number" and bool(column.count_format))
    return is_named and is_time and column.filled == len(column.values) and sample.share_of_several(key, name) > 0


def _has_copies(sample: Sample, key: str) -> bool:
    place = sample.names.index(key)
    rows = Counter(row for row in sample.rows if row[place] is not None)
    return any(count > 1 for count in rows.values())


def _has_equal_lines(lines: Sample, bill: str, bills: set[object]) -> bool:
    place = lines.names.index(bill)
    rows = Counter(row for row in lines.rows if row[place] in bills)
    return any(count > 1 for count in rows.values())
