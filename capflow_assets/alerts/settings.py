"""``{home}/alerts.toml``: who is told of what, and how. Without the file nobody is told anything.

[[alert]]
name = "operations"
what = ["customer failed", "night late", "refused TOML"]     # all, where nothing is named
customers = ["boots"]                                          # all, where nobody is named
email = { host = "mail.example.com", port = 587, sender = "capflow@example.com", to = ["ops@example.com"] }
# or: slack = { url = { env = "SLACK_URL" } }
# or: pagerduty = { routing_key = { env = "PAGERDUTY_KEY" } }
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from capflow_assets.errors import CapflowError
from capflow_assets.transfer.secrets import FromEnv

FILE = "alerts.toml"
# The variable that says where Dagster's page is for those who are told; `capflow ui` says its own address.
DAGSTER_URL = "CAPFLOW_DAGSTER_URL"
What = Literal["customer failed", "night late", "champion broken", "drifted", "asks waiting", "refused TOML"]
KINDS: tuple[What, ...] = get_args(What)
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", max_length=320)]
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


class Declared(BaseModel):
    """A part of the file: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)


class Email(Declared):
    """A mail server; ``encryption`` says how the line to it is made safe."""

    host: Text
    port: int = Field(587, ge=1, le=65535)
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    sender: Address
    to: tuple[Address, ...] = Field(min_length=1)
    user: Text | None = None
    password: FromEnv | None = None

    @model_validator(mode="after")
    def _both(self) -> Email:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password, or neither")
        if self.password is not None and self.encryption == "none":
            raise ValueError("an encrypted line for a password: starttls or tls")
        return self


class Slack(Declared):
    """A webhook that takes ``{"text": …}``: Slack's, Mattermost's, Rocket.Chat's. Its address is a secret."""

    url: FromEnv
    allow_private: bool = Field(False, description="Whether it may be a host of your own network.")


class PagerDuty(Declared):
    """PagerDuty's events, version 2."""

    routing_key: FromEnv
    url: Text = PAGERDUTY
    allow_private: bool = False


class AlertRule(Declared):
    """Who is told of what."""

    name: Text
    what: tuple[What, ...] = ()
    customers: tuple[Text, ...] = ()
    email: Email | None = None
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None

    @model_validator(mode="after")
    def _one_way(self) -> AlertRule:
        if sum(way is not None for way in (self.email, self.slack, self.pagerduty)) != 1:
            raise ValueError("one of email, slack and pagerduty")
        return self

    def wants(self, what: str, customer: str) -> bool:
        """Whether it is to be told of a kind of trouble of a customer."""
        return (not self.what or what in self.what) and (not self.customers or customer in self.customers)


class AlertFile(Declared):
    """All rules of a deployment."""

    alert: tuple[AlertRule, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> AlertFile:
        names = [rule.name for rule in self.alert]
        if len(set(names)) < len(names):
            raise ValueError("a name of its own for each alert")
        return self


def read_rules(home: Path, known_customers: Collection[str] = ()) -> tuple[AlertRule, ...]:
    """The rules of a home; none where there is no file.

    Raises:
        CapflowError: the file is wrong; every problem is named, and no secret shown.
    """
    file = home / FILE
    if not file.exists():
        return ()
    try:
        rules = AlertFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).alert
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise CapflowError("The alerts cannot be used", came="; ".join(problems), where=str(file)) from None
    except (OSError, ValueError) as error:
        raise CapflowError("The alerts cannot be read", came=str(error), where=str(file)) from error
    strange = sorted({name for rule in rules for name in rule.customers} - set(known_customers))
    if known_customers and strange:
        raise CapflowError(
            "The alerts name customers that are not here",
            expected=", ".join(sorted(known_customers)[:20]),
            came=", ".join(strange),
            where=str(file),
        )
    return rules
