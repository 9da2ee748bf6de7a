"""Who may look and who may decide.

With ``CAPFLOW_CONSOLE_TOKEN`` everybody signs in with it, and whoever has may decide. Without it the pages can be read
from this machine alone, under its own names, and nothing can be decided: a foreign page that a reader's browser opens
can neither read nor send anything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from capflow_assets.errors import CapflowError

VARIABLE = "CAPFLOW_CONSOLE_TOKEN"
LEAST_CHARACTERS = 16
COOKIE = "capflow_console"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Access:
    """The token, and what this process signs its cookies with; a restart signs everybody out."""

    token: str = ""
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Access:
        """As the environment says.

        Raises:
            CapflowError: the token is too short to be none's guess.
        """
        token = environment.get(VARIABLE, "")
        if token and len(token) < LEAST_CHARACTERS:
            expected = f"at least {LEAST_CHARACTERS} characters, best at random: openssl rand -hex 32"
            raise CapflowError(f"{VARIABLE} is too short", expected=expected, came=f"{len(token)} characters")
        return cls(token)

    @property
    def cookie(self) -> str:
        """What a browser that has signed in sends."""
        return hmac.digest(self._key, self.token.encode(), hashlib.sha256).hex()

    def is_token(self, given: str) -> bool:
        """Whether this is the token."""
        return bool(self.token) and hmac.compare_digest(given.encode(), self.token.encode())

    def has_signed_in(self, cookie: str | None) -> bool:
        """Whether a request's cookie is that of somebody who gave the token."""
        return bool(self.token) and hmac.compare_digest((cookie or "").encode(), self.cookie.encode())

    def may_look(self, host: str, cookie: str | None) -> bool:
        """Whether a request may read the pages."""
        return self.has_signed_in(cookie) if self.token else host_name(host) in LOOPBACK


def host_name(host: str) -> str:
    """The name in a Host header.

    >>> host_name("localhost:8080"), host_name("[::1]:80"), host_name("evil.example")
    ('localhost', '[::1]', 'evil.example')
    """
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()
