"""What a TOML says of delivering predictions: where they go, which models and columns, and the rules at the door. Pure.

    [[delivery]]
    name = "crm"
    kind = "sql"
    models = ["churn", "winback"]
    channel = "email"
    purpose = "marketing"
    options = { location = "postgresql://db/crm", table = "scores_{model}", user = "us", password = { env = "CRM" } }
    columns = { user_id = "customer", score = "chance", as_of = "as_of" }
    rules = { min_band = "medium", quiet_hours = ["21:00", "08:00"], priority = 10 }

    [contact]
    holdout_pct = 5
    holdout_salt = "2026"
    caps = [{ channel = "email", most = 2, days = 7 }]

A delivery by which users are contacted names its channel and purpose, and goes to those alone who consent to both. One
by which nobody is, to a warehouse say, says ``contact = false``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from capflow_assets.contract import Destination
from capflow_assets.customers.table_inputs import Declared, Text
from capflow_assets.customers.toml_problems import unknown, validation_problems
from capflow_assets.errors import CapflowError

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


def _words(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _hours(value: tuple[str, str]) -> tuple[str, str]:
    try:
        first, last = (time.fromisoformat(text) for text in value)
    except ValueError:
        raise ValueError('two times of the day, such as ["21:00", "08:00"]') from None
    if first.tzinfo or last.tzinfo:
        raise ValueError("two times without a zone: they are of each user's own")
    if first == last:
        raise ValueError("two times that are not the same")
    return value


# The same however it is written, as in raw/consents: a cap on email is one on Email.
Channel = Annotated[Text, AfterValidator(str.lower)]
Words = Annotated[tuple[Text, ...], BeforeValidator(_words)]
QuietHours = Annotated[tuple[Text, Text], BeforeValidator(_words), AfterValidator(_hours)]


class DoorRules(Declared):
    """Who of those that a model answers for may be delivered."""

    min_band: Text | None = Field(default=None, description="Users of a lower band are held back.")
    quiet_hours: QuietHours | None = Field(
        default=None, description="From and until when, in the user's time zone, nobody is delivered: they wait."
    )
    priority: int = Field(default=100, ge=0, le=10_000, description="Where a cap leaves room for one, the lower goes.")


class Cap(Declared):
    """How often a user may be delivered on a channel, over all models and destinations."""

    channel: Channel
    most: int = Field(ge=1, le=1000, description="Deliveries of a user within the days.")
    days: int = Field(ge=1, le=366, description="How many days, up to the moment of sending.")


class ContactSettings(Declared):
    """What holds for all deliveries by which users are contacted."""

    holdout_pct: float = Field(default=0, ge=0, le=50, description="Users who are never contacted, to compare with.")
    holdout_salt: Text = Field(default="capflow", description="Another salt draws other users.")
    caps: Annotated[tuple[Cap, ...], BeforeValidator(_words)] = Field(default=(), description="One a channel.")

    @model_validator(mode="after")
    def _one_a_channel(self) -> ContactSettings:
        twice = [channel for channel, count in Counter(cap.channel for cap in self.caps).items() if count > 1]
        if twice:
            raise ValueError(f"one cap a channel, and not several on {', '.join(twice)}")
        return self

    def cap(self, channel: str | None) -> Cap | None:
        """What holds for a channel."""
        return next((cap for cap in self.caps if cap.channel == channel), None)


class DeclaredDelivery(Declared):
    """One destination of a customer, and what goes there."""

    name: Annotated[str, Field(pattern=NAME)]
    kind: Text = Field(description="The kind of destination: the name of a file in delivery/.")
    models: Words = Field(default=(), description="The models whose predictions go there; all, where none is named.")
    contact: bool = Field(default=True, description="Whether users are contacted by it.")
    channel: Channel | None = Field(default=None, description="By what: email, push, sms, mail.")
    purpose: Text | None = Field(default=None, description="For what, in the words of raw/consents.")
    options: dict[str, Any] = Field(default_factory=dict, description="The Options of the kind.")
    columns: dict[str, Text] = Field(
        default_factory=dict, description="Our column = its name there; all under their own names, where none is given."
    )
    lists: Literal["list", "rows"] = Field(default="list", description="A ranked list: one row a user, or one an item.")
    valid_days: int = Field(default=7, ge=1, le=366, description="Days after the as-of moment that the answers hold.")
    rules: DoorRules = Field(default_factory=DoorRules)

    @model_validator(mode="after")
    def _names_consent(self) -> DeclaredDelivery:
        if self.contact and not (self.channel and self.purpose):
            raise ValueError("channel and purpose, to which users consent; or contact = false")
        if self.rules.quiet_hours and not self.contact:
            raise ValueError("no quiet_hours where contact = false: nobody is disturbed, and nobody waits")
        return self

    def takes(self, model: str) -> bool:
        """Whether a model's predictions go there."""
        return not self.models or model in self.models


Deliveries = Annotated[tuple[DeclaredDelivery, ...], BeforeValidator(_words)]


def delivery_problems(
    deliveries: Collection[DeclaredDelivery], known: Mapping[str, Destination], models: Collection[str]
) -> list[CapflowError]:
    """What is wrong with a customer's deliveries, beside the kinds of destination and the models that there are."""
    counts = Counter(delivery.name for delivery in deliveries)
    problems = [
        CapflowError(f"delivery.{name}", expected="a name of its own", came=f"{count} deliveries of that name")
        for name, count in counts.items()
        if count > 1
    ]
    for delivery in deliveries:
        problems += _problems(f"delivery.{delivery.name}", delivery, known, models)
    return problems


def _problems(
    key: str, delivery: DeclaredDelivery, known: Mapping[str, Destination], models: Collection[str]
) -> Iterator[CapflowError]:
    yield from (unknown(f"{key}.models", "model", name, models) for name in delivery.models if name not in models)
    doubles = [name for name, count in Counter(delivery.columns.values()).items() if count > 1]
    if doubles:
        yield CapflowError(f"{key}.columns", expected="another name for each column", came=", ".join(doubles))
    if delivery.kind not in known:
        yield unknown(f"{key}.kind", "kind of destination", delivery.kind, known)
        return
    options = known[delivery.kind].options
    try:
        options.model_validate(delivery.options)
    except ValidationError as error:
        yield from validation_problems(error, f"{key}.options", list(options.model_fields))
