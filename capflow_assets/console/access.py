"""Who may look and who may decide: whoever has the operator's token (``capflow serve token --operator``).

As long as there is no such token the pages can be read from this machine alone, under its own names, and nothing can be
decided: a foreign page that a reader's browser opens can neither read nor send anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import OPERATOR, Gate, is_served

COOKIE = "capflow_operator"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")
HINT = "capflow serve token --operator"


@dataclass(frozen=True)
class Access:
    """What the tokens of a home allow; a token that is revoked or replaced is worth nothing a second later.

    Behind the guard of Dagster's page (``is_guarded``) whoever reaches that page may read these as well.
    """

    home: Home
    gate: Gate
    is_guarded: bool = False

    @property
    def has_token(self) -> bool:
        """Whether an operator's token was issued: then everybody signs in."""
        return is_served(self.home, OPERATOR)  # also where its file cannot be read: nobody gets in by damaging it

    def is_operator(self, token: str | None) -> bool:
        """Whether this is the operator's token, as it was given or as a browser that signed in sends it."""
        return bool(token) and self.gate.owner(token or "") == OPERATOR

    def may_look(self, host: str, client: str, token: str | None) -> bool:
        """Whether a request may read the pages; anybody may write ``localhost`` into its Host header."""
        if self.is_guarded:
            return True
        is_of_this_machine = host_name(host) in LOOPBACK and client in LOOPBACK_ADDRESSES
        return self.is_operator(token) or (not self.has_token and is_of_this_machine)


def host_name(host: str) -> str:
    """The name in a Host header.

    >>> host_name("localhost:8080"), host_name("[::1]:80"), host_name("evil.example")
    ('localhost', '[::1]', 'evil.example')
    """
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()
