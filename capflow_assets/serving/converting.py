"""Writing files for online answers of champions that were registered without one, or with one that is damaged.

It needs the estimators' libraries and those that convert: the process that publishes has them, a server never does.
"""

from __future__ import annotations

import os
from pathlib import Path

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.online.by_code import columns_of
from capflow_assets.learning.online.conversion import TRIAL_ROWS, online_scores, with_holes
from capflow_assets.learning.online.files import NAME, unpacked
from capflow_assets.life.scoring_version import succession
from capflow_assets.serving.converted import converted, converted_folder, converted_path
from capflow_assets.serving.loading import why_not_live
from capflow_assets.serving.lookups import features_matrix
from capflow_assets.serving.scorer_cache import DEFAULT_BOUND_BYTES, LARGEST_SHARE
from capflow_assets.stores.answer_store import FEATURES
from capflow_assets.stores.answer_stores import Answers
from capflow_assets.stores.model_files import MODEL, REPORT
from capflow_assets.stores.saved_estimators import types_of

# Larger files are not read, as by a server of the usual bound of memory.
MOST_BYTES = DEFAULT_BOUND_BYTES // LARGEST_SHARE


def convert_champions(deployment: Deployment, store: Answers, customer: Customer) -> int | None:
    """Write the files that a customer's champions lack, and remove those of champions before; how many were written.

    Of a champion that is broken the last before it that is whole is converted, since it answers. None where nothing
    was written.
    """
    kept, written = set(), 0
    for name, spec in deployment.stages.models.items():
        if not customer.has_model(name) or why_not_live(spec, deployment.stages):
            continue
        for version in succession(deployment.registry, customer.name, name):
            try:
                if _has_own_file(deployment, customer.name, name, version):
                    break
                path = converted_path(deployment.home, deployment.registry, customer.name, name, version)
                if converted(path, MOST_BYTES) is None:
                    _write(path, _converted(deployment, store, customer.name, spec, version))
                    written += 1
                kept.add(path)
                break
            except BrokenModelError:  # the one before it answers
                continue
    for file in converted_folder(deployment.home, customer.name).glob("*"):
        if file not in kept:
            file.unlink(missing_ok=True)
    return written or None


def _write(path: Path, content: bytes) -> None:
    """Write a file that a server finds whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _has_own_file(deployment: Deployment, customer: str, model: str, version: int) -> bool:
    """Whether a version was registered with a file for online answers that is whole."""
    name = f"{REPORT}/{NAME}"
    if name not in deployment.registry.paths(customer, model, version):
        return False
    try:
        unpacked(deployment.registry.read(customer, model, version, name, MOST_BYTES))
    except BrokenModelError:
        return False
    return True


def _converted(deployment: Deployment, store: Answers, customer: str, spec: ModelSpec, version: int) -> bytes:
    """The file of a version, tried on users whose features are published."""
    registry, types = deployment.registry, types_of(spec.model)
    content = registry.read(customer, spec.name, version, MODEL, MOST_BYTES)
    estimator = registry.loaded(customer, spec.name, version, content, types)
    columns = columns_of(estimator, tuple(dict.fromkeys(spec.model.columns)))
    table = store.tables().get(FEATURES)
    rows = [] if table is None else [row for _, row in store.sample(table, TRIAL_ROWS)]
    return online_scores(estimator, columns, with_holes(features_matrix(table, rows, columns))).packed()
