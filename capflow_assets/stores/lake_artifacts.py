"""Addresses of the scheme ``capflow-lake`` for MLflow, so that its pages show the files of model versions.

``capflow-lake:/acme/mlflow/churn/…`` is a path below the lake of whichever home MLflow runs on (``CAPFLOW_HOME``,
``CAPFLOW_LAKE``). Pages list and download; nothing is written through it. `mlflow gc` may delete, below the lake only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from capflow_assets.errors import CapflowError
from capflow_assets.home.places import Home
from capflow_assets.stores.model_files import ModelFiles, below
from capflow_assets.stores.places import opened, remove_folder


class LakeArtifactRepository(ArtifactRepository):
    """The files below one ``capflow-lake:`` address."""

    def __init__(self, artifact_uri: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(artifact_uri, *args, **kwargs)
        self.lake = Home.of().lake
        self.folder = below(unquote(urlsplit(artifact_uri).path).strip("/"))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies in a folder; nothing where the path is a file or nothing."""
        from pyarrow import fs

        inner = (path or "").strip("/")
        store, place = opened(f"{self.lake}/{self._below(inner)}")
        if store.get_file_info(place).type != fs.FileType.Directory:
            return []
        infos = store.get_file_info(fs.FileSelector(place, allow_not_found=True))
        names = {info.path.rsplit("/", 1)[-1]: info for info in infos}
        return [
            FileInfo(f"{inner}/{name}".lstrip("/"), info.type == fs.FileType.Directory, info.size)
            for name, info in sorted(names.items())
        ]

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        Path(local_path).write_bytes(ModelFiles(self.lake).read(self._below(remote_file_path)))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a folder below this home's lake."""
        place = self._below((artifact_path or "").strip("/"))
        root = Path(self.lake).resolve()
        if "://" in self.lake or (root / place).resolve() == root / place:
            remove_folder(f"{self.lake}/{place}")

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Refuse: model versions are written by CapFlow alone."""
        raise CapflowError("Files of model versions are written by CapFlow alone", where=self.artifact_uri)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Refuse: model versions are written by CapFlow alone."""
        self.log_artifact(local_dir, artifact_path)

    def _below(self, path: str) -> str:
        return below(self.folder, path) if path else self.folder
