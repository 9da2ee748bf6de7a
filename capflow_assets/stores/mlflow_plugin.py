"""What MLflow finds by the entry point ``mlflow.artifact_repository``: the scheme ``capflow-lake`` on its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capflow_assets.stores.lake_artifacts import LakeArtifactRepository


def mlflow_repository(*args: Any, **kwargs: Any) -> LakeArtifactRepository:
    """The repository of one address. Imported only now, since MLflow reads its entry points while it is loaded."""
    from capflow_assets.stores.lake_artifacts import LakeArtifactRepository

    return LakeArtifactRepository(*args, **kwargs)
