"""The application that answers calls directly, and leaves the rest to FastAPI: pages, OpenAPI, refusals."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from capflow_assets.serving.calls import CallTable, Receive, Scope, Send


class Application(FastAPI):
    """FastAPI's, with a table of calls that are answered before it: what it does for each costs more than an answer."""

    def __init__(self, calls: CallTable, **settings: Any) -> None:
        super().__init__(**settings)
        self.calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One event of ASGI: a request, or the process's life."""
        if not await self.calls.answered(scope, receive, send):
            await super().__call__(scope, receive, send)
