"""The workspace's other objects: clusters, policies, pools, secrets, permissions, volumes, and who is calling."""

from __future__ import annotations

import base64
from typing import Any

from capflow_assets_doubles.databricks.compute import Compute
from capflow_assets_doubles.databricks.storage import Storage
from capflow_assets_doubles.databricks.wire import ApiError, Request, Routes


class Objects:
    """Kept in memory; ``policies`` and ``pools`` are for tests to fill, by id."""

    def __init__(self, compute: Compute, storage: Storage) -> None:
        self._compute, self._storage = compute, storage
        self.policies: dict[str, dict[str, Any]] = {}
        self.pools: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.permissions: dict[str, list[dict[str, Any]]] = {}

    def routes(self, routes: Routes) -> None:
        """Say what is answered where."""
        get, post = "GET", "POST"
        for method, pattern, handler in (
            (get, r"/api/2\.[01]/clusters/get", self._cluster),
            (get, r"/api/2\.[01]/clusters/list", self._clusters),
            (post, r"/api/2\.[01]/clusters/create", self._create_cluster),
            (post, r"/api/2\.[01]/clusters/events", self._events),
            (get, r"/api/2\.0/policies/clusters/get", self._policy),
            (get, r"/api/2\.0/policies/clusters/list", lambda _: {"policies": list(self.policies.values())}),
            (get, r"/api/2\.0/instance-pools/get", self._pool),
            (get, r"/api/2\.0/instance-pools/list", lambda _: {"instance_pools": list(self.pools.values())}),
            (post, r"/api/2\.0/secrets/scopes/create", self._create_scope),
            (get, r"/api/2\.0/secrets/scopes/list", self._scopes),
            (post, r"/api/2\.0/secrets/put", self._put_secret),
            (get, r"/api/2\.0/secrets/get", self._secret),
            (get, r"/api/2\.0/secrets/list", self._secret_names),
            (get, r"/api/2\.0/permissions/(?P<kind>[a-z-]+)/(?P<name>[^/]+)", self._access),
            ("PUT", r"/api/2\.0/permissions/(?P<kind>[a-z-]+)/(?P<name>[^/]+)", self._set_access),
            ("PATCH", r"/api/2\.0/permissions/(?P<kind>[a-z-]+)/(?P<name>[^/]+)", self._add_access),
            (get, r"/api/2\.0/preview/scim/v2/Me", self._me),
            (get, r"/api/2\.1/unity-catalog/volumes/(?P<name>[^/]+)", self._volume),
        ):
            routes.add(method, pattern, handler)

    def _cluster(self, request: Request) -> dict[str, Any]:
        name = str(request.need("cluster_id"))
        if name not in self._compute.clusters:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Cluster {name} does not exist")
        return self._compute.clusters[name].described()

    def _clusters(self, request: Request) -> dict[str, Any]:
        return {"clusters": [cluster.described() for cluster in self._compute.clusters.values()]}

    def _create_cluster(self, request: Request) -> dict[str, Any]:
        cluster = self._compute.add(request.fields)
        cluster.now("RUNNING", "RUNNING")
        return {"cluster_id": cluster.cluster_id}

    def _events(self, request: Request) -> dict[str, Any]:
        self._cluster(request)
        events = self._compute.clusters[request.need("cluster_id")].events[::-1]
        return {"events": events, "total_count": len(events)}

    def _policy(self, request: Request) -> dict[str, Any]:
        return _of(self.policies, request.need("policy_id"), "Cluster policy")

    def _pool(self, request: Request) -> dict[str, Any]:
        return _of(self.pools, request.need("instance_pool_id"), "Instance pool")

    def _create_scope(self, request: Request) -> dict[str, Any]:
        scope = request.need("scope")
        if scope in self.secrets:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {scope} already exists!")
        self.secrets[scope] = {}
        return {}

    def _scopes(self, request: Request) -> dict[str, Any]:
        return {"scopes": [{"name": name, "backend_type": "DATABRICKS"} for name in self.secrets]}

    def _put_secret(self, request: Request) -> dict[str, Any]:
        fields = request.fields
        encoded = fields.get("bytes_value") or base64.b64encode(str(fields.get("string_value", "")).encode()).decode()
        self._scope(request)[request.need("key")] = encoded
        return {}

    def _secret(self, request: Request) -> dict[str, Any]:
        scope, key = self._scope(request), request.need("key")
        if key not in scope:
            words = f"Secret does not exist with scope: {request.need('scope')} and key: {key}"
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", words)
        return {"key": key, "value": scope[key]}

    def _secret_names(self, request: Request) -> dict[str, Any]:
        return {"secrets": [{"key": key, "last_updated_timestamp": 0} for key in self._scope(request)]}

    def _scope(self, request: Request) -> dict[str, str]:
        scope = request.need("scope")
        if scope not in self.secrets:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Scope {scope} does not exist!")
        return self.secrets[scope]

    def _access(self, request: Request, kind: str, name: str) -> dict[str, Any]:
        listed = [_shown(grant) for grant in self.permissions.get(f"/{kind}/{name}", [])]
        return {"object_id": f"/{kind}/{name}", "object_type": kind.rstrip("s"), "access_control_list": listed}

    def _set_access(self, request: Request, kind: str, name: str) -> dict[str, Any]:
        self.permissions[f"/{kind}/{name}"] = list(request.fields.get("access_control_list") or [])
        return self._access(request, kind, name)

    def _add_access(self, request: Request, kind: str, name: str) -> dict[str, Any]:
        added = request.fields.get("access_control_list") or []
        self.permissions[f"/{kind}/{name}"] = [*self.permissions.get(f"/{kind}/{name}", []), *added]
        return self._access(request, kind, name)

    def _me(self, request: Request) -> dict[str, Any]:
        name = request.principal.name
        return {"id": str(abs(hash(name)) % 10**16), "userName": name, "displayName": name, "active": True}

    def _volume(self, request: Request, name: str) -> dict[str, Any]:
        if name not in self._storage.volumes():
            raise ApiError(404, "VOLUME_DOES_NOT_EXIST", f"Volume '{name}' does not exist.")
        catalog, schema, last = name.split(".")
        said = {"catalog_name": catalog, "schema_name": schema, "name": last, "full_name": name}
        return said | {"volume_type": "MANAGED", "storage_location": f"/Volumes/{catalog}/{schema}/{last}"}


def _of(known: dict[str, dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    if name not in known:
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"{kind} {name} does not exist")
    return known[name]


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of an access list as it is given back: the level under ``all_permissions``."""
    level = {"permission_level": entry.get("permission_level"), "inherited": False}
    return {key: value for key, value in entry.items() if key != "permission_level"} | {"all_permissions": [level]}
