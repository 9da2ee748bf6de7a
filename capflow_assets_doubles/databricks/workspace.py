"""A workspace on a port of this machine, to be used through the real SDK.

    with local_workspace(folder) as workspace:
        client = WorkspaceClient(host=workspace.url, token=workspace.token)

Clusters ``dedicated-1`` and ``standard-1`` exist; a task without a cluster runs serverless; a new cluster's
``data_security_mode`` says which of the two it is. Steps run in processes of their own and see nothing of this
process's environment, folder or source. The volume ``main.capflow.staging`` exists.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from capflow_assets_doubles.databricks.compute import Compute
from capflow_assets_doubles.databricks.faults import ConnectionLostError, Faults
from capflow_assets_doubles.databricks.jobs import Jobs
from capflow_assets_doubles.databricks.objects import Objects
from capflow_assets_doubles.databricks.storage import Storage
from capflow_assets_doubles.databricks.wire import ApiError, Principal, Request, Response, Routes, split

VOLUME = "main.capflow.staging"
ADMIN = Principal("admin@example.com", "dapi-admin", admin=True)


class LocalWorkspace:
    """What a test holds of a workspace.

    Attributes:
        url: Where it answers.
        token: The administrator's; more principals by ``add_principal``.
        calls: Method and path of every call of a client, in order; ``step_calls`` are those of running steps.
        faults: What goes wrong; settable while runs are under way.
        storage: Files; ``storage_root`` is their folder, ``storage.place("/Volumes/…")`` the file behind a path.
        jobs: The runs, by id in ``jobs.runs``; ``jobs.kill_driver(run_id)``.
        clusters: The clusters by id; a test may set ``clusters["dedicated-1"].spec["spark_env_vars"]``.
        objects: Policies, pools, secrets and permissions.
    """

    def __init__(self, folder: Path, volumes: tuple[str, ...], profile: Mapping[str, str], spark: bool) -> None:
        self.calls: list[tuple[str, str]] = []
        self.step_calls: list[tuple[str, str]] = []
        self.faults = Faults()
        self.storage = Storage(folder / "storage", volumes)
        self.storage_root = self.storage.root
        self.compute = Compute(folder, self.storage, profile, spark)
        self.clusters = self.compute.clusters
        self.jobs = Jobs(self.compute, self.storage, self.faults)
        self.objects = Objects(self.compute, self.storage)
        self.token = ADMIN.token
        self._principals = {ADMIN.token: ADMIN}
        self._routes = Routes()
        for part in (self.storage, self.jobs, self.objects):
            part.routes(self._routes)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = self.jobs.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def mode(self, name: str) -> dict[str, str]:
        """The fields of a task that make it run in a mode: ``dedicated``, ``standard`` or ``serverless``."""
        return {} if name == "serverless" else {"existing_cluster_id": f"{name}-1"}

    def add_principal(self, name: str, *places: str) -> str:
        """A principal that may touch these places only (all, if none is named); gives its token."""
        token = f"dapi-{name}"
        self._principals[token] = Principal(name, token, places=places or Principal.places)
        return token

    def offers(self, path: str, content: Mapping[str, Any]) -> None:
        """Tell that content to whoever asks at a path (a pattern) of which the workspace knows nothing by itself."""
        self._routes.add("GET", path, lambda request: content)

    def warm(self) -> None:
        """Have Spark running, so that the first run need not wait for it."""
        self.compute.warm()

    def spark_remote(self) -> str:
        """Where the workspace's Spark Connect is: for a test that looks at tables with the same engine."""
        return self.compute.spark_remote()

    def close(self) -> None:
        self._server.shutdown()
        self.jobs.close()
        self._server.server_close()
        self.compute.close()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a call, or fail it as the faults say."""
        path, query = split(target)
        unanswered = False
        try:
            principal, own = self._caller(headers.get("authorization", ""))
            (self.step_calls if own else self.calls).append((method, path))
            unanswered = not own and self.faults.hit(path)
            response = self._routes.answer(Request(method, path, query, headers, body, principal))
        except ApiError as error:
            response = error.response()
        if unanswered:
            raise ConnectionLostError(answered=True)
        return response

    def _caller(self, authorization: str) -> tuple[Principal, bool]:
        """Who calls, and whether it is a running step."""
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer" or not token:
            words = "Credential was not sent or was of an unsupported type for this API."
            raise ApiError(401, 401, words)
        if token in self._principals:
            return self._principals[token], False
        owner = self.jobs.owner_of(token)
        if owner is None:
            raise ApiError(403, 403, "Invalid access token.")
        return owner, True


@contextmanager
def local_workspace(
    folder: Path,
    volumes: tuple[str, ...] = (VOLUME,),
    instance_profile: Mapping[str, str] | None = None,
    spark: bool = True,
) -> Iterator[LocalWorkspace]:
    """A workspace whose files, runs and logs lie in ``folder``.

    ``instance_profile`` are the variables by which the machines reach the lake (``AWS_…``). Spark has them in every
    mode; the step's own process has them on a dedicated cluster only. Without ``spark`` no JVM is started and tasks
    find no session: for what is about runs alone.
    """
    workspace = LocalWorkspace(folder, volumes, instance_profile or {}, spark)
    try:
        yield workspace
    finally:
        workspace.close()


def _handler(workspace: LocalWorkspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                self._send(workspace.answer(self.command, self.path, headers, body))
            except ConnectionLostError:
                self.close_connection = True

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in ({"Content-Length": str(len(response.body))} | response.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: the calls are recorded."""

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._serve)
    return Handler
