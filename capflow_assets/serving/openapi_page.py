"""The OpenAPI page with its scripts from this server: FastAPI's own asks a public one for them, which networks of
production often cannot reach, and which would see who reads the page and could change what a token is typed into.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

ADDRESS, SCRIPTS = "/docs", "/docs-scripts"


def add_openapi_page(app: FastAPI) -> None:
    """Swagger UI at ``/docs``, of the version that ``fastapi-offline`` brings."""
    from fastapi.openapi.docs import get_swagger_ui_html
    from starlette.staticfiles import StaticFiles

    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=app.title,
        swagger_js_url=f"{SCRIPTS}/swagger-ui-bundle.js",
        swagger_css_url=f"{SCRIPTS}/swagger-ui.css",
        swagger_favicon_url=f"{SCRIPTS}/favicon.png",
    )

    async def openapi_page(_: Request) -> Response:
        return page

    app.add_route(ADDRESS, openapi_page, include_in_schema=False)
    app.mount(SCRIPTS, StaticFiles(directory=str(files("fastapi_offline") / "static")))
