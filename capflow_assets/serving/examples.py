"""Request bodies that run: for the OpenAPI page one for each kind of call, and one for a customer's model as it is."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from capflow_assets.serving.lookups import features_matrix
from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.service import Served, Service
from capflow_assets.stores.answer_store import StoredTable

# So long is a list that is asked for.
EXAMPLE_K = 5
BODIES: dict[str, dict[str, Any]] = {
    "answers": {
        "users": {"summary": "Last night's answers", "value": {"user_ids": ["u1", "u2"], "reasons": True}},
        "basket": {
            "summary": "A list without what is in the basket",
            "value": {"instances": [{"user_id": "u1", "basket": ["i1"], "exclude": ["i2"]}], "k": 5},
        },
    },
    "infer": {
        "users": {
            "summary": "By user id",
            "value": {"inputs": [{"name": "user_id", "shape": [2], "datatype": "BYTES", "data": ["u1", "u2"]}]},
        }
    },
    "invocations": {
        "records": {"summary": "By user id", "value": {"dataframe_records": [{"user_id": "u1"}, {"user_id": "u2"}]}},
        "split": {"summary": "As a frame", "value": {"dataframe_split": {"columns": ["user_id"], "data": [["u1"]]}}},
    },
}


def request_body(kind: str) -> dict[str, Any]:
    """The OpenAPI description of a body, with examples."""
    content = {"schema": {"type": "object"}, "examples": BODIES[kind]}
    return {"required": True, "content": {"application/json": content}}


async def example_body(service: Service, served: Served) -> dict[str, Any]:
    """A body of ``…/answers`` that a customer's model answers now: of a subject that the night knew, and by features.

    Features are those that the champion was trained on, as the store has them of somebody.

    Raises:
        ProblemError: 503 where it has answered for nobody yet, or the store can name nobody.
    """
    subjects = await _sampled(service, served, served.stored)
    if not service.not_live[served.model] and served.champion is not None:
        features = await _features(service, served)
        known = [{"user_id": subject} for subject, _ in subjects]
        return {"instances": [*known, {"features": features}]}
    if not subjects:
        raise ProblemError(503, f"{served.model} has answered for nobody of {served.customer} whom the store can name")
    ids = {"user_ids": [subject for subject, _ in subjects]}
    return {**ids, "k": EXAMPLE_K} if served.spec.model.answer.shape == "list" else ids


async def _features(service: Service, served: Served) -> dict[str, float | None]:
    """The features of somebody whom nobody names, by name; null for what is not known."""
    columns = await service.columns(served)
    rows = [row for _, row in await _sampled(service, served, served.features)]
    (values,) = features_matrix(served.features, rows, columns).tolist() or [[math.nan] * len(columns)]
    return {name: None if value != value else value for name, value in zip(columns, values, strict=True)}


async def _sampled(service: Service, served: Served, table: StoredTable | None) -> list[tuple[str, bytes]]:
    return [] if table is None else await asyncio.to_thread(service.lookups.sample, served.customer, table, 1)
