"""When a customer's night is, as ``[night]`` of its TOML says: when it starts, and by when it has to be done. Pure.

[night]
start = "22:30"
deadline = "06:00"
zone = "Europe/London"
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from capflow_assets.customers import toml_text
from capflow_assets.customers.table_inputs import Declared
from capflow_assets.customers.toml_problems import validation_problems
from capflow_assets.errors import CustomerError
from capflow_assets.landing.time_zones import known_zone

DAY_MINUTES = 24 * 60
# What comes longer after the start is taken to be a deadline that lies before it.
LONGEST_NIGHT_HOURS = 18


def _clock(text: str) -> str:
    """The same text, if it is a time of day."""
    parts = text.split(":")
    is_clock = text.isascii() and len(parts) == 2 and all(len(part) == 2 and part.isdigit() for part in parts)
    if not is_clock or int(parts[0]) > 23 or int(parts[1]) > 59:
        raise ValueError('a time of day such as "22:30"')
    return text


Clock = Annotated[str, AfterValidator(_clock)]


class NightSettings(Declared):
    """A customer's night: what landed by its start is in the predictions that are out by its deadline."""

    start: Clock = Field(description="From when on its tables may land, a local time of day.")
    deadline: Clock | None = Field(
        default=None, description="By when all is done; before the start is the next morning."
    )
    zone: Annotated[str, AfterValidator(known_zone)] | None = Field(
        default=None, description="Whose local times these are; else the customer's time_zone."
    )

    @model_validator(mode="after")
    def _in_time(self) -> NightSettings:
        if self.minutes is not None and not 0 < self.minutes <= LONGEST_NIGHT_HOURS * 60:
            raise ValueError(
                f"a deadline after the start {self.start}, at most {LONGEST_NIGHT_HOURS} hours later; "
                f"{self.deadline} lies before it"
            )
        return self

    @property
    def start_time(self) -> time:
        """The start as a time of day."""
        return time.fromisoformat(self.start)

    @property
    def minutes(self) -> int | None:
        """How many minutes after the start the deadline is, over midnight where it has to be.

        >>> NightSettings(start="22:30", deadline="06:00").minutes, NightSettings(start="01:00").minutes
        (450, None)
        """
        if self.deadline is None:
            return None
        start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (self.start, self.deadline))
        return (end - start) % DAY_MINUTES


@dataclass(frozen=True, slots=True)
class DeclaredNight:
    """What of a customer's TOML says when its night is, and whose size it may be of; ``night`` is None without one."""

    vertical: str
    zone: str
    night: NightSettings | None


def declared_night(text: str, file: str) -> DeclaredNight:
    """What a TOML says of the customer's night, without judging the rest of it, which takes many times as long.

    Raises:
        CustomerError: it is no TOML, or its night is none; names every problem of that.
    """
    data: dict[str, Any] = toml_text.parsed(text, file)
    declared = data.get("night")
    try:
        night = None if declared is None else NightSettings.model_validate(declared)
        zone = known_zone(str(data.get("time_zone") or "UTC"))
    except ValidationError as error:
        problems = validation_problems(error, "night", list(NightSettings.model_fields))
        raise CustomerError.listing(file, problems) from None
    except ValueError as error:
        raise CustomerError("time_zone", expected=str(error), came=repr(data.get("time_zone")), where=file) from None
    return DeclaredNight(str(data.get("vertical") or ""), zone, night)
