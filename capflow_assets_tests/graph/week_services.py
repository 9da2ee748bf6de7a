"""What the week of nights works with, each of which can be stopped and started: PostgreSQL, S3, and a webhook."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from capflow_assets_doubles.http_server import Reply, Request

BUCKET = "week"


@dataclass
class Bucket:
    """moto's S3 in this process; what is in it stays there while it does not answer."""

    port: int = 0

    def __post_init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app = DomainDispatcherApplication(create_backend_app)
        self.start()
        self.client().create_bucket(Bucket=BUCKET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def start(self) -> None:
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def manifests(self, customer: str) -> Iterator[Mapping[str, Any]]:
        """Those of the deliveries of a customer that are whole."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{customer}/")
        for name in (entry["Key"] for page in pages for entry in page.get("Contents", ())):
            if name.endswith("manifest.json"):
                yield json.loads(client.get_object(Bucket=BUCKET, Key=name)["Body"].read())


@dataclass
class Receiver:
    """Takes each message once, as its id says; while it is down it ends connections, after it took some of them."""

    random: random.Random
    is_down: bool = False
    rows: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Reply:
        name = request.headers["webhook-id"]
        if self.is_down and self.random.random() < 0.5:
            return Reply(is_cut=True)
        data = json.loads(request.body)["data"]
        self.rows[name] = (data["delivery"], [row["user_id"] for row in data.get("rows", ())])
        return Reply(200, is_cut=self.is_down)

    def users(self) -> dict[str, Counter[str]]:
        """How often each user is in each delivery, over all messages that differ."""
        users: dict[str, Counter[str]] = {}
        for delivery, names in list(self.rows.values()):
            users.setdefault(delivery, Counter()).update(names)
        return users


@contextmanager
def halted(bucket: Bucket) -> Iterator[None]:
    """No answer of the bucket for a while."""
    bucket.stop()
    try:
        yield
    finally:
        bucket.start()
