"""What a client may ask, read from JSON: whom or what, with which features at hand, and how to cut a list."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capflow_assets.errors import listed, nearest
from capflow_assets.expressions.ids import normal
from capflow_assets.serving.problems import ProblemError

MOST_SUBJECTS = 1_000
MOST_LISTED = 1_000
LONGEST_ID = 512
NUMBER = (int, float)
AS_THEY_ARE = frozenset((float, type(None)))


@dataclass(frozen=True, slots=True)
class Query:
    """One subject to answer for: by id, by features, or both; of a list what is in the basket and what is unwanted.

    What is in the basket is unwanted too.
    """

    user_id: str | None = None
    features: Mapping[str, float | None] = field(default_factory=dict)
    unwanted: frozenset[str] = frozenset()
    basket: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """All that one request asks of one model."""

    queries: tuple[Query, ...]
    k: int | None = None
    has_reasons: bool = False


def parsed(content: bytes) -> Any:
    """A body as JSON.

    Raises:
        ProblemError: it is none; NaN and Infinity are not JSON, and it may be nested a thousand deep at most.
    """
    import orjson

    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        words = str(error).split(": line")[0]
        raise ProblemError(400, f"the body is no JSON: {words}; missing values are null, NaN is no JSON") from None


def answer_request(body: Any) -> AnswerRequest:
    """The request of a body: ``{"user_ids": […]}`` or ``{"instances": [{"user_id", "features", "basket", …}]}``.

    Raises:
        ProblemError: says which part is wrong.
    """
    if not isinstance(body, dict):
        raise ProblemError(422, "the body is an object with user_ids, instances, or both")
    _known(body, ("user_ids", "instances", "k", "reasons"), "the body")
    users, instances = _list(body, "user_ids"), _list(body, "instances")
    require_few(len(users) + len(instances))
    queries = [Query(_id(user, f"user_ids[{place}]")) for place, user in enumerate(users)]
    queries += [_query(entry, f"instances[{place}]") for place, entry in enumerate(instances)]
    if not queries:
        raise ProblemError(422, "the body asks about nobody: expected user_ids or instances")
    k, reasons = body.get("k"), body.get("reasons", False)
    if k is not None and (type(k) is not int or not 1 <= k <= MOST_LISTED):
        raise ProblemError(422, f"k is a whole number from 1 to {MOST_LISTED:,}")
    if not isinstance(reasons, bool):
        raise ProblemError(422, "reasons is true or false")
    return AnswerRequest(tuple(queries), k, reasons)


def require_few(subjects: int) -> None:
    """Refuse more subjects than one request may ask about, before anything is made of them."""
    if subjects > MOST_SUBJECTS:
        raise ProblemError(413, f"{subjects:,} subjects at once; at most {MOST_SUBJECTS:,}: send several requests")


def features_of(values: Any, where: str) -> dict[str, float | None]:
    """Features by name: numbers, true and false, or null for what is not known."""
    if not isinstance(values, dict):
        raise ProblemError(422, f"{where} is an object of numbers by name")
    numbers: dict[str, float | None] = values
    if AS_THEY_ARE.issuperset(map(type, values.values())):  # nearly all are
        return numbers
    for name, value in values.items():
        if type(value) in AS_THEY_ARE:
            continue
        if not isinstance(value, NUMBER):
            raise ProblemError(422, f"{where}.{name[:80]} is a number, true, false or null, not {type(value).__name__}")
        numbers[name] = float(value)
    return numbers


def require_features(given: Mapping[str, Any], columns: Sequence[str], accepted: Collection[str] = ()) -> None:
    """Refuse features that the version does not read (``columns``) and that are not ``accepted``: most are mistyped.

    Raises:
        ProblemError: 422; its member ``features`` has all that the version reads.
    """
    unknown = next((name for name in given if name not in accepted and name not in columns), None)
    if unknown is not None:
        near = nearest(unknown, columns)
        hint = f"; did you mean {near!r}?" if near else f"; it reads {listed(columns)}"
        words = f"the model reads no feature {unknown[:80]!r}{hint}"
        raise ProblemError(422, words, features=list(columns))


def _query(entry: Any, where: str) -> Query:
    if not isinstance(entry, dict):
        raise ProblemError(422, f"{where} is an object with user_id, features, or both")
    _known(entry, ("user_id", "features", "basket", "exclude"), where)
    user = _id(entry["user_id"], f"{where}.user_id") if entry.get("user_id") is not None else None
    features = features_of(entry.get("features", {}), f"{where}.features")
    if "basket" not in entry and "exclude" not in entry:
        if user is None and not features:
            raise ProblemError(422, f"{where} names nobody: expected user_id, features, basket or exclude")
        return Query(user, features)
    # As the lake spells them.
    basket, excluded = (
        tuple(normal(_id(item, f"{where}.{part}")) for item in _unwanted(entry, part)) for part in ("basket", "exclude")
    )
    return Query(user, features, frozenset((*basket, *excluded)), basket)


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    values = body.get(name, [])
    if not isinstance(values, list):
        raise ProblemError(422, f"{name} is a list")
    return values


def _unwanted(entry: Mapping[str, Any], name: str) -> list[Any]:
    values = _list(entry, name)
    if len(values) > 10 * MOST_LISTED:
        raise ProblemError(422, f"{name} is a list of at most {10 * MOST_LISTED:,}")
    return values


def _id(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        raise ProblemError(422, f"{where} is an id: a text of 1 to {LONGEST_ID} characters")
    return value


def _known(body: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    unknown = [name for name in body if name not in names]
    if unknown:
        raise ProblemError(422, f"{where} has no part {unknown[0][:80]!r}; expected {listed(names)}")
