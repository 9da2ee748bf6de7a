"""No destination is a database of the deployment's own: Dagster's records and MLflow's are nobody's to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.errors import DeliveryError
from capflow_assets.paths import fence

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


def refuse_own(url: URL) -> None:
    """Refuse a database of the deployment's own; of a MySQL the whole server, whose databases see each other.

    Raises:
        DeliveryError: it is one.
    """
    from sqlalchemy.engine import make_url

    limits = fence.current()
    for address in limits.databases if limits else ():
        own = make_url(address) if address else None
        if own is not None and _place(own) == _place(url):
            raise DeliveryError("A destination may not be a database of CapFlow's own", where=str(url))


def _place(url: URL) -> tuple[str, int, str]:
    backend, host = url.get_backend_name(), (url.host or "").lower()
    return host, url.port or PORTS.get(backend, 0), url.database or "" if backend == "postgresql" else ""
