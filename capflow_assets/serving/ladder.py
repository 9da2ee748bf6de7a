"""Answers as they are sent, rung by rung: precomputed, live, last good, the rule. Pure: nothing is read here.

One answer per subject, with who gave it (``served_by``), by which version, as of when and until when it holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any

from capflow_assets.stores.answer_store import BETWEEN_ROWS, StoredTable

LIVE, PRECOMPUTED, LAST_GOOD, POOLED, RULE = "live", "precomputed", "last good", "pooled", "rule"
RUNGS = (LIVE, PRECOMPUTED, LAST_GOOD, POOLED, RULE)
# What 64 bits lose on the way.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long answers hold, and the moment at which it is asked."""

    now: datetime
    valid_hours: float

    def of(self, as_of: datetime) -> dict[str, Any]:
        """``as_of``, ``valid_until``, ``expired`` and ``feature_age_s`` of an answer as of a moment."""
        # Every request has a moment of its own, which nothing is kept of.
        reckoned = _until.__wrapped__ if as_of is self.now else _until
        until, as_of_text, until_text = reckoned(as_of, self.valid_hours)
        return {
            "as_of": as_of_text,
            "valid_until": until_text,
            "expired": self.now > until,
            "feature_age_s": max(0, round((self.now - as_of).total_seconds())),
        }

    def is_over(self, as_of: datetime) -> bool:
        """Whether an answer as of a moment has expired."""
        return self.now > _until(as_of, self.valid_hours)[0]


# A table's moment is that of all of its subjects: what follows from it is reckoned once.
@lru_cache(4_096)
def _until(as_of: datetime, valid_hours: float) -> tuple[datetime, str, str]:
    until = as_of + timedelta(hours=valid_hours)
    return until, as_of.isoformat(), until.isoformat()


def moment_of(facts: Mapping[str, Any]) -> datetime:
    """The as-of moment of a stored table; the oldest there is where it says none."""
    text = facts.get("as_of")
    return _moment(text) if isinstance(text, str) else datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(4_096)
def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def rung_of_table(table: StoredTable, champion: int | None, life: Lifetime) -> str:
    """Who answers where a subject's stored answer is sent.

    The night's own rung where it is another than the customer's model; else precomputed by the present champion, or
    the last good one: of a champion before it, or expired.
    """
    rung = table.facts.get("rung")
    if rung in (RULE, POOLED):
        return str(rung)
    return PRECOMPUTED if is_current(table, champion, life) else LAST_GOOD


def is_current(table: StoredTable, champion: int | None, life: Lifetime) -> bool:
    """Whether stored answers are what the champion would say again: they are of it, and have not expired."""
    return champion in (None, table.facts.get("model_version")) and not life.is_over(moment_of(table.facts))


def stored_answer(
    content: bytes, table: StoredTable, served_by: str, life: Lifetime, unwanted: frozenset[str], k: int | None
) -> dict[str, Any]:
    """A subject's stored rows as an answer."""
    import orjson

    rows = [orjson.loads(row) for row in content.split(BETWEEN_ROWS)]
    who = provenance(table.facts.get("model_version"), served_by)
    return _shaped(rows, table.facts, unwanted, k) | who | life.of(moment_of(table.facts))


def typical_answer(table: StoredTable, life: Lifetime, unwanted: frozenset[str], k: int | None) -> dict[str, Any]:
    """What stands for a subject of whom nothing else is known: the median score, or what most have on their lists."""
    rows = [dict(row) for row in table.facts.get("typical", ())]
    bands = table.facts.get("bands", ())
    for row in rows if table.facts.get("shape") == "score" else ():
        row["band"] = band_of(row["score"], bands)
    answer = _shaped(rows, table.facts, unwanted, k)
    return answer | provenance(table.facts.get("model_version"), RULE) | life.of(moment_of(table.facts))


def live_answer(
    figures: Mapping[str, Any], bands: Sequence[Sequence[Any]], version: int, served_by: str, times: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of a version that was asked now, and its words if it has any, as an answer."""
    numbers = {name: None if value != value else value for name, value in figures.items()}
    score = numbers.get("score")
    band = None if score is None else band_of(score, bands)
    return {**numbers, "band": band, **provenance(version, served_by), **times}


def band_of(score: float, bands: Sequence[Sequence[Any]]) -> str | None:
    """The band of a score, by the highest score of each band in the last night.

    >>> band_of(0.4, [[0.2, "low"], [0.5, "medium"], [0.9, "high"]]), band_of(1.0, [[0.9, "high"]]), band_of(1.0, [])
    ('medium', 'high', None)
    """
    if not bands:
        return None
    place = bisect_left(bands, score, key=lambda band: band[0] + SLACK * max(1.0, abs(band[0])))
    return str(bands[min(place, len(bands) - 1)][1])


def bands_of(scores: Iterable[float], names: Sequence[str]) -> tuple[tuple[float, str], ...]:
    """The highest score of each band that has any, where equal shares of the scores fall in each; equal scores in that
    of their middle, as in the tables of predictions.

    >>> bands_of([0.1, 0.2, 0.2, 0.3], ("low", "medium", "high")), bands_of([0.5, 0.5], ("low", "medium", "high"))
    (((0.1, 'low'), (0.2, 'medium'), (0.3, 'high')), ((0.5, 'medium'),))
    """
    counts = Counter(score for score in scores if score == score)
    tops, lower, total = {}, 0, sum(counts.values())
    for score, count in sorted(counts.items()):
        place = ceil((2 * lower + count) / (2 * total) * len(names))
        tops[names[place - 1]] = score
        lower += count
    return tuple((top, name) for name, top in tops.items())


def without_reasons(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without words on what moved it."""
    answer.pop("reasons", None)
    for row in answer.get("items", answer.get("rows", ())):
        row.pop("reasons", None)
    return answer


def _shaped(
    rows: list[dict[str, Any]], facts: Mapping[str, Any], unwanted: frozenset[str], k: int | None
) -> dict[str, Any]:
    per = facts.get("per") or []
    if facts.get("shape") == "list":
        rows.sort(key=lambda row: row.get("rank") or 0)
        wanted = [row for row in rows if not (unwanted and unwanted & {str(row.get(name)) for name in per})]
        for rank, row in enumerate(wanted, 1):
            row["rank"] = rank
        return {"items": wanted[:k]}
    if per or len(rows) != 1:
        return {"rows": rows}
    return rows[0]


def provenance(version: Any, served_by: str) -> dict[str, Any]:
    """Which version answers, and by which rung."""
    return {"model_version": version, "served_by": served_by}


def rungs_of(answers: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many answers each rung gave; ``none`` counts those that have a problem."""
    counts: dict[str, int] = {}
    for answer in answers:
        rung = str(answer.get("served_by", "none"))
        counts[rung] = counts.get(rung, 0) + 1
    return counts
