"""DBFS and the Files API on a folder of this machine: ``dbfs/`` and ``Volumes/`` below one root."""

from __future__ import annotations

import base64
import itertools
import shutil
import threading
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from typing import Any

from capflow_assets_doubles.databricks.wire import ApiError, Principal, Request, Response, Routes

BLOCK = 1024 * 1024


@dataclass
class _Upload:
    draft: Path
    place: Path


class Storage:
    """Files by the paths that the workspace gives them."""

    def __init__(self, root: Path, volumes: tuple[str, ...]) -> None:
        self.root = root
        self.uploads = root / ".uploads"
        self._open: dict[int, _Upload] = {}
        self._handles = itertools.count(1)
        self._lock = threading.Lock()
        for folder in (root / "dbfs", root / "Volumes", self.uploads):
            folder.mkdir(parents=True, exist_ok=True)
        for volume in volumes:
            self.add_volume(volume)

    def add_volume(self, name: str) -> str:
        """Make a volume ``catalog.schema.name`` and give its path."""
        path = f"/Volumes/{name.replace('.', '/')}"
        self.place(path).mkdir(parents=True, exist_ok=True)
        return path

    def volumes(self) -> list[str]:
        return sorted(".".join(path.parts[-3:]) for path in (self.root / "Volumes").glob("*/*/*"))

    def place(self, path: str) -> Path:
        """Where a path of the workspace lies on this machine: ``/Volumes/…``, ``dbfs:/…`` or ``/dbfs/…``."""
        for shown, folder in (("/Volumes", "Volumes"), ("dbfs:", "dbfs"), ("/dbfs", "dbfs")):
            if path == shown or path.startswith(f"{shown}/"):
                inside = PurePosixPath(path[len(shown) :].lstrip("/"))
                if ".." in inside.parts:
                    break
                return self.root / folder / inside
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Path must be absolute: {path}")

    def readable(self, path: str, principal: Principal) -> Path | None:
        """The file behind a path if it is there and the principal may read it."""
        place = self.place(path)
        shown = path if path.startswith("/Volumes/") else f"dbfs:{path.removeprefix('dbfs:').removeprefix('/dbfs')}"
        return place if principal.may(shown) and place.is_file() else None

    def routes(self, routes: Routes) -> None:
        """Say what is answered where."""
        for name in ("create", "add-block", "close", "put", "mkdirs", "delete"):
            routes.add("POST", f"/api/2.0/dbfs/{name}", getattr(self, f"_dbfs_{name.replace('-', '_')}"))
        for name in ("read", "get-status", "list"):
            routes.add("GET", f"/api/2.0/dbfs/{name}", getattr(self, f"_dbfs_{name.replace('-', '_')}"))
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            for kind in ("files", "directories"):
                handler = getattr(self, f"_{kind}_{method.lower()}")
                routes.add(method, rf"/api/2\.0/fs/{kind}(?P<path>/.*)", handler)

    # DBFS

    def _dbfs(self, request: Request) -> tuple[str, Path]:
        path = str(request.need("path")).removeprefix("dbfs:")
        if path.startswith("/Volumes"):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Unity Catalog volumes are not served by DBFS: {path}")
        place = self.place(f"dbfs:{path}")
        if not request.principal.may(f"dbfs:{path}"):
            raise ApiError(403, "PERMISSION_DENIED", f"No operations allowed on this path: {path}")
        return path, place

    def _dbfs_place(self, request: Request) -> tuple[str, Path]:
        path, place = self._dbfs(request)
        if not place.exists():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {path}.")
        return path, place

    def _dbfs_create(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs(request)
        self._refuse_existing(path, place, request.fields.get("overwrite", False))
        draft = self.uploads / str(uuid.uuid4())
        draft.touch()
        with self._lock:
            handle = next(self._handles)
            self._open[handle] = _Upload(draft, place)
        return {"handle": handle}

    def _dbfs_add_block(self, request: Request) -> dict[str, Any]:
        block = base64.b64decode(request.need("data"))
        if len(block) > BLOCK:
            raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", "The maximum block size is 1048576 bytes")
        with self._upload(request).draft.open("ab") as sink:
            sink.write(block)
        return {}

    def _dbfs_close(self, request: Request) -> dict[str, Any]:
        upload = self._upload(request)
        upload.place.parent.mkdir(parents=True, exist_ok=True)
        upload.draft.replace(upload.place)
        with self._lock:
            del self._open[int(request.need("handle"))]
        return {}

    def _upload(self, request: Request) -> _Upload:
        handle = int(request.need("handle"))
        with self._lock:
            if handle not in self._open:
                raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No stream exists with handle {handle}")
            return self._open[handle]

    def _dbfs_put(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs(request)
        contents = base64.b64decode(request.fields.get("contents", ""))
        if len(contents) > BLOCK:
            raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", "The maximum block size is 1048576 bytes")
        self._refuse_existing(path, place, request.fields.get("overwrite", False))
        self._write(place, contents)
        return {}

    def _dbfs_read(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs_place(request)
        offset, length = int(request.query.get("offset", 0)), int(request.query.get("length", BLOCK // 2))
        if place.is_dir() or offset < 0 or length < 0:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Cannot read {length} bytes at {offset} of {path}")
        if length > BLOCK:
            raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", "The maximum read size is 1048576 bytes")
        with place.open("rb") as source:
            source.seek(offset)
            data = source.read(length)
        return {"bytes_read": len(data), "data": base64.b64encode(data).decode()}

    def _dbfs_get_status(self, request: Request) -> dict[str, Any]:
        return _info(*self._dbfs_place(request))

    def _dbfs_list(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs_place(request)
        if place.is_file():
            return {"files": [_info(path, place)]}
        return {"files": [_info(f"{path.rstrip('/')}/{child.name}", child) for child in sorted(place.iterdir())]}

    def _dbfs_mkdirs(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs(request)
        if place.is_file():
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"A file exists on path {path}")
        place.mkdir(parents=True, exist_ok=True)
        return {}

    def _dbfs_delete(self, request: Request) -> dict[str, Any]:
        path, place = self._dbfs(request)
        if place.is_file():
            place.unlink()
        elif place.is_dir():
            if any(place.iterdir()) and str(request.fields.get("recursive")).lower() != "true":
                raise ApiError(400, "IO_ERROR", f"{path} is a non-empty directory")
            shutil.rmtree(place)
        return {}

    def _refuse_existing(self, path: str, place: Path, overwrite: bool) -> None:
        if place.is_dir() or (place.exists() and not overwrite):
            raise ApiError(
                400, "RESOURCE_ALREADY_EXISTS", f"A file or directory already exists at the input path {path}"
            )

    def _write(self, place: Path, contents: bytes) -> None:
        draft = self.uploads / str(uuid.uuid4())
        draft.write_bytes(contents)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(place)

    # Files of volumes

    def _volume(self, request: Request, path: str, right: str) -> Path:
        parts = PurePosixPath(path).parts
        if len(parts) < 5 or parts[1] != "Volumes":
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Path must be in a Unity Catalog volume: {path}")
        name = ".".join(parts[2:5])
        if not self.place("/".join(("", *parts[1:5]))).is_dir():
            raise ApiError(404, "NOT_FOUND", f"Volume '{name}' does not exist.")
        if not request.principal.may(path.rstrip("/")):
            raise ApiError(403, "PERMISSION_DENIED", f"User does not have {right} VOLUME on Volume '{name}'.")
        return self.place(path)

    def _place(self, request: Request, path: str, folder: bool) -> Path:
        place = self._volume(request, path, "READ")
        if not (place.is_dir() if folder else place.is_file()):
            kind = "directory" if folder else "file"
            raise ApiError(404, "NOT_FOUND", f"The {kind} being accessed is not found: {path}")
        return place

    def _files_get(self, request: Request, path: str) -> Response:
        content, headers = (
            self._place(request, path, folder=False).read_bytes(),
            self._files_head(request, path).headers,
        )
        byte_range = request.headers.get("range", "")
        if not byte_range.startswith("bytes="):
            return Response(200, content, headers)
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        if start >= len(content):
            raise ApiError(416, "RANGE_NOT_SATISFIABLE", f"Range {byte_range} of {len(content)} bytes")
        part = content[start : int(last) + 1] if first and last else content[start:]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        return Response(206, part, headers | {"Content-Length": str(len(part))})

    def _files_head(self, request: Request, path: str) -> Response:
        status = self._place(request, path, folder=False).stat()
        headers = {"Content-Length": str(status.st_size), "Content-Type": "application/octet-stream"}
        return Response(200, b"", headers | {"Last-Modified": formatdate(status.st_mtime, usegmt=True)})

    def _files_put(self, request: Request, path: str) -> Response:
        place = self._volume(request, path, "WRITE")
        if place.is_dir() or (place.exists() and request.query.get("overwrite") != "true"):
            raise ApiError(409, "ALREADY_EXISTS", f"The file being created already exists: {path}")
        self._write(place, request.body)
        return Response(204)

    def _files_delete(self, request: Request, path: str) -> Response:
        self._place(request, path, folder=False).unlink()
        return Response(204)

    def _directories_head(self, request: Request, path: str) -> Response:
        self._place(request, path, folder=True)
        return Response(200)

    def _directories_get(self, request: Request, path: str) -> dict[str, Any]:
        children = sorted(self._place(request, path, folder=True).iterdir())
        return {"contents": [_entry(f"{path.rstrip('/')}/{child.name}", child) for child in children]}

    def _directories_put(self, request: Request, path: str) -> Response:
        place = self._volume(request, path, "WRITE")
        if place.is_file():
            raise ApiError(409, "ALREADY_EXISTS", f"A file exists at {path}")
        place.mkdir(parents=True, exist_ok=True)
        return Response(204)

    def _directories_delete(self, request: Request, path: str) -> Response:
        place = self._place(request, path, folder=True)
        if any(place.iterdir()):
            raise ApiError(400, "FAILED_PRECONDITION", f"The directory being deleted is not empty: {path}")
        place.rmdir()
        return Response(204)


def _info(path: str, place: Path) -> dict[str, Any]:
    status = place.stat()
    size = 0 if place.is_dir() else status.st_size
    return {"path": path, "is_dir": place.is_dir(), "file_size": size, "modification_time": int(status.st_mtime * 1000)}


def _entry(path: str, place: Path) -> dict[str, Any]:
    status = place.stat()
    entry = {"path": path, "name": place.name, "is_directory": place.is_dir()}
    if not place.is_dir():
        entry |= {"file_size": status.st_size, "last_modified": int(status.st_mtime * 1000)}
    return entry
