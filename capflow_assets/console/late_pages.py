"""The pages, made when somebody first looks: with Dagster, which they are drawn from, they take 120 MB and seconds.

A server that only answers, as most do, never holds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from capflow_assets.serving.app import Pages

# The first parts of the addresses of pages (``console.app.routes``).
ADDRESSES = (
    "night",
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


@dataclass(slots=True)
class LatePages:
    """Pages that ``make`` makes at the first request for one; where that fails the next request tries again."""

    make: Callable[[], Pages]
    _pages: Pages | None = None
    _app: Starlette | None = None
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    def mount(self, app: Starlette) -> None:
        """Take the addresses of the pages."""
        from starlette.routing import Route

        for path in ("/", *(f"/{name}{rest}" for name in ADDRESSES for rest in ("", "/{rest:path}"))):
            app.router.routes.append(Route(path, _Endpoint(self)))

    def beside(self, other: ASGIApp) -> ASGIApp:
        """An application that has the addresses of the pages and leaves all others to ``other``."""

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            is_page = scope["type"] == "http" and scope["path"].removeprefix("/").partition("/")[0] in ADDRESSES
            await (_Endpoint(self) if is_page else other)(scope, receive, send)

        return both

    def begin(self) -> None:
        """Nothing: nobody has looked yet."""

    def end(self) -> None:
        """Look at the fleet no more."""
        if self._pages is not None:
            self._pages.end()

    async def app(self) -> Starlette:
        """The pages as an application of their own, made if need be."""
        async with self._making:
            if self._app is not None:
                return self._app
            pages, opened = await asyncio.to_thread(self._opened)
            self._pages, self._app = pages, opened
            return opened

    def _opened(self) -> tuple[Pages, Starlette]:
        from starlette.applications import Starlette

        pages, app = self.make(), Starlette()
        pages.mount(app)
        pages.begin()
        return pages, app


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
        # The pages name the parts of their paths themselves.
        await app({**scope, "path_params": {}}, receive, send)
