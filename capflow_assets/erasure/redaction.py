"""A user's id in records and logs: where it stands in a text, and the text without it.

The records stay, with ``(forgotten)`` in place of the id. A text that is the id is replaced. Inside longer texts the id
is replaced as a word, and an id of digits alone only where it is quoted or follows ``user_id``: ``12`` in "12 rows" is
a number of rows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

INSTEAD = "(forgotten)"


class Records(Protocol):
    """What an orchestrator keeps about customers, as erasure needs it: who is at work, and texts that name a user."""

    @property
    def is_local(self) -> bool:
        """Whether what steps print is kept on this machine alone, where it is redacted."""

    def refuse_running(self, customer: str) -> None:
        """Refuse to take data away under a run that is at it: what it has read, it would write again.

        Raises:
            CapflowError: names the runs.
        """

    def redact(self, customer: str, user: str) -> dict[str, int]:
        """Replace a user's id in all records of a customer; how many records of each kind that were."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """One id, and how it is found in texts.

    >>> Redaction.of("u-7").text('user u-7 and u-77; ["u-7"]')
    'user (forgotten) and u-77; ["(forgotten)"]'
    >>> Redaction.of("12").text("12 rows; user_id: 12; '12' came; 112")
    "12 rows; user_id: (forgotten); '(forgotten)' came; 112"
    """

    whole: frozenset[str]
    inside: re.Pattern[str]
    sign: str

    @classmethod
    def of(cls, user: str) -> Redaction:
        """The redaction of one user's id, as it is and as JSON writes it inside of texts."""
        forms = sorted({user, json.dumps(user)[1:-1], json.dumps(user, ensure_ascii=False)[1:-1]}, key=len)
        any_form = "|".join(re.escape(form) for form in reversed(forms))
        if user.isdigit():
            quote = r"(?:(?<=[\"'])|(?<=user_id[=:])|(?<=user_id[=:] )|(?<=user_id ))"
            inside = re.compile(f"{quote}(?:{any_form})(?!\\w)")
        else:
            inside = re.compile(f"(?<!\\w)(?:{any_form})(?!\\w)")
        # The longest run that every encoding writes alike, for the database to look for.
        return cls(frozenset(forms), inside, max(re.findall(r"[A-Za-z0-9]+", user) or [""], key=len))

    def text(self, text: str) -> str:
        """A text without the id."""
        return INSTEAD if text in self.whole else self.inside.sub(INSTEAD, text)

    def value(self, value: Any) -> Any:
        """A JSON value without the id in any of its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def document(self, text: str) -> str:
        """A JSON document without the id; text that is not JSON is redacted as text."""
        try:
            value = json.loads(text)
        except ValueError:
            return self.text(text)
        redacted = self.value(value)
        return text if redacted == value else json.dumps(redacted)
