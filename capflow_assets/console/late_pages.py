"""The pages, made when somebody first looks: with Dagster, which they are drawn from, they take 120 MB and seconds.

A server that only answers, as most do, never holds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

# The first parts of the addresses of pages (``console.app.routes``).
ADDRESSES = (
    "queue",
    "models",
    "customers",
    "deliveries",
    "features",
    "waiting",
    "console.css",
    "sign-in",
    "decisions",
)
HELP = "The pages cannot be opened: Dagster's records are not to be read. Answers are given all the same."
LOG = logging.getLogger("capflow.serving")


class Made(Protocol):
    """Pages, as ``console.app.Console`` is."""

    def mount(self, app: Starlette) -> None:
        """Add their addresses."""

    def begin(self) -> None:
        """Look at the fleet from now on."""

    def end(self) -> None:
        """Look at it no more."""


@dataclass(slots=True)
class LatePages:
    """Pages that ``make`` makes at the first request for one; where that fails the next request tries again."""

    make: Callable[[], Made]
    _made: Made | None = None
    _app: Starlette | None = None
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    def mount(self, app: Starlette) -> None:
        """Take the addresses of the pages."""
        from starlette.routing import Route

        for path in ("/", *(f"/{name}{rest}" for name in ADDRESSES for rest in ("", "/{rest:path}"))):
            app.router.routes.append(Route(path, _Endpoint(self)))

    def begin(self) -> None:
        """Nothing: nobody has looked yet."""

    def end(self) -> None:
        """Look at the fleet no more."""
        if self._made is not None:
            self._made.end()

    async def app(self) -> Starlette:
        """The pages as an application of their own, made if need be."""
        async with self._making:
            if self._app is not None:
                return self._app
            made, opened = await asyncio.to_thread(self._opened)
            self._made, self._app = made, opened
            return opened

    def _opened(self) -> tuple[Made, Starlette]:
        from starlette.applications import Starlette

        made, app = self.make(), Starlette()
        made.mount(app)
        made.begin()
        return made, app


class _Endpoint:
    """The address of a page, as ASGI calls it."""

    def __init__(self, pages: LatePages) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """One request."""
        from starlette.responses import PlainTextResponse

        try:
            app = await self._pages.app()
        except Exception as error:  # whatever Dagster's databases fail with
            LOG.warning({"what": "the pages cannot be opened", "error": type(error).__name__})
            await PlainTextResponse(HELP, 503)(scope, receive, send)
            return
        await app(scope, receive, send)
