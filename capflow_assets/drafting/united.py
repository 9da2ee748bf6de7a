"""Files of one table whose columns changed over time, sheets of one workbook, as one sample. Pure.

A nightly drop gets another column in May, a column is called otherwise since June, a workbook has a sheet a month: the
rows are those of one table all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from capflow_assets.drafting import words as w
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.samples import Sample

DIGITS = re.compile(r"[0-9]+")
TOKENS = re.compile(r"'(?:[^']|'')*'|`(?:[^`]|``)+`|[A-Za-z_][\w.]*")
LEAST_SHARED = 0.6
LEAST_VALUES = 0.5
SHEET, BELOW = "sheet", "skip_last"
OF_A_SHEET = frozenset({SHEET, BELOW})


def united(groups: Sequence[Sequence[Sample]]) -> list[list[Sample]]:
    """Groups of samples of the same columns, those that are versions of one table put together.

    Such have files that are called alike but for digits, the same options, and share most of their columns. Their
    samples then have the columns of all, ``None`` where a file has none.
    """
    left, together = [list(group) for group in groups], list[list[Sample]]()
    while left:
        versions = [left.pop(0)]
        for group in list(left):
            if any(_are_versions(one[0], group[0]) and _families(one) & _families(group) for one in versions):
                versions.append(group)
                left.remove(group)
        together.append(_one_group(versions) if len(versions) > 1 else versions[0])
    return together


def sheets_as_one(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a workbook's sheets, those of the same columns as one: ``sheet = "*"``, or a list of names.

    Where some have a row of sums below and others none, landing sets it aside by its word.
    """
    alike: dict[object, list[Sample]] = {}
    for sample in samples:
        own = sorted((key, str(value)) for key, value in sample.options.items() if key not in OF_A_SHEET)
        alike.setdefault((sample.names, *own), []).append(sample)
    groups = alike.values()
    return [_one_sheet(group, is_all=len(groups) == 1) if len(group) > 1 else group[0] for group in groups]


def _one_sheet(samples: Sequence[Sample], *, is_all: bool) -> Sample:
    first, sheets = samples[0], [sample.options[SHEET] for sample in samples]
    below = {sample.options.pop(BELOW, 0) for sample in samples}
    if len(below) == 1 and max(below):
        first.options[BELOW] = max(below)
    first.options[SHEET] = "*" if is_all else sheets
    first.reasons[SHEET] = f"{len(samples)} sheets of the same columns"
    first.parts = tuple((sample.name, len(sample.rows)) for sample in samples)
    first.rows = tuple(row for sample in samples for row in sample.rows)
    first.rows_total = sum(sample.rows_total for sample in samples)
    first.is_whole = all(sample.is_whole for sample in samples)
    return first


def by_all_names(table: TableDraft, sample: Sample) -> None:
    """Let a table's mapping name a column by all the names that it has in the files."""
    if sample.former:
        table.columns = {column: _by_all_names(guess, sample) for column, guess in table.columns.items()}
        table.where = table.where and _by_all_names(table.where, sample)


def _by_all_names(guess: Guess, sample: Sample) -> Guess:
    if not isinstance(guess.value, str):
        return guess
    all_names = {
        quoted(name): f"coalesce({', '.join(map(quoted, (name, *former)))})" for name, former in sample.former.items()
    }
    if guess.value in sample.former:
        return Guess(all_names[quoted(guess.value)], guess.why or "as older files call it", guess.is_unsure)
    text = TOKENS.sub(lambda token: all_names.get(token[0], token[0]), guess.value)
    return Guess(text, guess.why, guess.is_unsure)


def _families(group: Sequence[Sample]) -> set[tuple[str, str]]:
    """The folders and the names without digits of a group's files."""
    paths = [(PurePosixPath(file), member) for sample in group for file, member in sample.files]
    return {(str(path.parent), DIGITS.sub("", path.name) + DIGITS.sub("", member)) for path, member in paths}


def _are_versions(one: Sample, other: Sample) -> bool:
    if one.source != other.source or one.source == "sql" or one.array != other.array or one.options != other.options:
        return False
    return len(set(one.names) & set(other.names)) >= LEAST_SHARED * max(len(one.names), len(other.names))


def _one_group(versions: Sequence[Sequence[Sample]]) -> list[Sample]:
    """The samples of all versions, the oldest files first, with the columns of all."""
    ordered = sorted(versions, key=lambda group: max(file for sample in group for file in sample.files))
    former = dict[str, tuple[str, ...]]()
    for older, newer in pairwise(ordered):
        for name, now in _renamed(older[0], newer[0]):
            former[now] = (name, *former.pop(name, ()))
    present = {name: now for now, names in former.items() for name in names}
    names = tuple(dict.fromkeys(present.get(name, name) for group in reversed(ordered) for name in group[0].names))
    samples = [sample for group in ordered for sample in group]
    for sample in samples:
        places = {present.get(name, name): place for place, name in enumerate(sample.names)}
        wanted = [places.get(name) for name in names]
        sample.rows = tuple(tuple(None if at is None else row[at] for at in wanted) for row in sample.rows)
        sample.names = names
        sample.__dict__.pop("columns", None)
    first = samples[0]
    first.former = former
    first.notes.append(f"the columns of the files changed: {len(versions)} headers")
    first.questions += [
        f"{now} is taken for what older files call {' or '.join(names)}: is it?" for now, names in former.items()
    ]
    return samples


def _renamed(older: Sample, newer: Sample) -> Iterator[tuple[str, str]]:
    """The columns that are called otherwise in newer files: of one kind, and of one meaning or with the same values."""
    gone = [name for name in older.names if name not in newer.names]
    new = [name for name in newer.names if name not in older.names]
    for name in gone:
        now = next((one for one in new if _are_one(older, name, newer, one)), "")
        if now:
            new.remove(now)
            yield name, now


def _are_one(older: Sample, name: str, newer: Sample, now: str) -> bool:
    before, after = older.columns[name], newer.columns[now]
    if before.kind != after.kind:
        return False
    shared, fewest = len(before.counts.keys() & after.counts.keys()), min(len(before.counts), len(after.counts))
    return bool(w.meaning(name) & w.meaning(now)) or (fewest > 1 and shared >= LEAST_VALUES * fewest)
