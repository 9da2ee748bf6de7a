"""What a customer's TOML says of its online answers: ``[serving]``."""

from __future__ import annotations

from pydantic import Field

from capflow_assets.customers.table_inputs import Declared


class ServingSettings(Declared):
    """How long answers hold, and how much of the server a customer may take."""

    valid_hours: float = Field(
        default=36, gt=0, le=24 * 3660, description="So long after its moment an answer holds; then it is marked."
    )
    answers_per_second: int = Field(
        default=500, ge=1, le=1_000_000, description="Answers a second for which the customer is served at once."
    )
