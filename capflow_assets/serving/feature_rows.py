"""One row of features for a version to score: those that a request gives, the others as of the night."""

from __future__ import annotations

from collections.abc import Mapping

from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.requests import Query

NAN = float("nan")


def feature_row(
    query: Query, known: Mapping[str, float] | None, columns: tuple[str, ...]
) -> list[float] | ProblemError | None:
    """The features of a query in the scorer's order: those given, and the others as ``known`` of the night.

    None where nothing is known of the user; a problem where features lack that cannot be looked up.
    """
    given = query.features
    if query.user_id is not None and known is None and not given:
        return None
    numbers = {**known, **given} if known else given
    try:
        values = [numbers[name] for name in columns]
    except KeyError:
        lacking = [name for name in columns if name not in numbers]
    else:
        return [NAN if value is None else value for value in values]
    if given or known is None:
        words = f"features lack that are not looked up: {', '.join(lacking[:10])}; null says that one is not known"
        return ProblemError(422, words)
    return None
