"""Request bodies that run, for the OpenAPI page: one for each kind of call."""

from __future__ import annotations

from typing import Any

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
