"""What campaign tools share: a row becomes properties of one person's profile, under names of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from capflow_assets.contract import Delivery
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.batches import Row, Tally
from capflow_assets.transfer.calls import HttpOptions
from capflow_assets.transfer.secrets import FromEnv

MODEL = "{model}"


class ProfileOptions(HttpOptions):
    """Who writes to the tool, and how its profiles are called."""

    api_key: FromEnv = Field(description='The key of its interface: { env = "NAME" }.')
    prefix: str = Field(
        default=f"{MODEL}_", max_length=64, description="What each property's name begins with; {model} is the model."
    )


def names_of(options: ProfileOptions, delivery: Delivery) -> Mapping[str, str]:
    """The property of each column but the user's.

    Raises:
        DeliveryError: the rows are not one a user.
    """
    if not delivery.user or delivery.key != (delivery.user,):
        do = "deliver a model of users, and ranked lists as lists"
        received = f"rows by {', '.join(delivery.key)}"
        raise DeliveryError("A campaign tool takes one row a user", came=received, where=delivery.destination, do=do)
    prefix = options.prefix.replace(MODEL, delivery.model)
    return {column.name: prefix + column.name for column in delivery.columns if column.name != delivery.user}


def fitting(
    rows: Iterator[Row], user: str, tally: Tally, most_bytes: int, most_text: int | None = None
) -> Iterator[Row]:
    """The rows that a profile can take; the others are refused here, since the tool would cut them off in silence.

    They have a user, at most ``most_bytes``, and no text of more than ``most_text`` characters.
    """
    for row in rows:
        problem = _problem(row, user, most_bytes, most_text)
        if problem:
            tally.refuse(row, problem)
        else:
            yield row


def _problem(row: Row, user: str, most_bytes: int, most_text: int | None) -> str:
    if row.values[user] in (None, ""):
        return "it has no user"
    if len(row.json) > most_bytes:
        return f"it has {len(row.json):,} bytes, and a profile at most {most_bytes:,}"
    long = (name for name, value in row.values.items() if most_text and _longest(value) > most_text)
    column = next(long, None)
    return f"{column} has more than {most_text} characters" if column else ""


def _longest(value: Any) -> int:
    texts = value if isinstance(value, list) else [value]
    return max((len(text) for text in texts if isinstance(text, str)), default=0)
