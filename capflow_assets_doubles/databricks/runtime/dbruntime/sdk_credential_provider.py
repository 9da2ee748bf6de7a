"""The SDK's way in from inside a run: no variable holds the token."""

from __future__ import annotations

from collections.abc import Callable

from dbruntime import Credentials


def init_runtime_native_auth() -> tuple[str | None, Callable[[], dict[str, str]] | None]:
    if not Credentials.token:
        return None, None
    return Credentials.host, lambda: {"Authorization": f"Bearer {Credentials.token}"}
