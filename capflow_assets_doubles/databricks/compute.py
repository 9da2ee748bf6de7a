"""Clusters and serverless compute: what a task finds there, and the process that runs it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from signal import Signals
from typing import Any

from capflow_assets_doubles.databricks.engine import Engine
from capflow_assets_doubles.databricks.storage import Storage
from capflow_assets_doubles.databricks.warm import Forked, WarmPython
from capflow_assets_doubles.databricks.wire import Principal

RUNTIME = Path(__file__).parent / "runtime"
RUNTIME_VERSION = "18.0"
SERVERLESS_VERSION = "client.4.9"
MODES = {
    "SINGLE_USER": "dedicated",
    "DATA_SECURITY_MODE_DEDICATED": "dedicated",
    "NONE": "dedicated",
    "LEGACY_SINGLE_USER": "dedicated",
    "USER_ISOLATION": "standard",
    "DATA_SECURITY_MODE_STANDARD": "standard",
}


Outputs = tuple[Path, Path]


class LibraryError(Exception):
    """A library cannot be installed; the words are the run's state message."""


@dataclass
class Cluster:
    """One cluster, or the serverless compute of one run (without an id)."""

    cluster_id: str | None
    mode: str
    spec: dict[str, Any] = field(default_factory=dict)
    state: str = "RUNNING"
    state_message: str = ""
    termination_reason: dict[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def now(self, state: str, event: str, message: str = "", reason: dict[str, Any] | None = None) -> None:
        """Change the state and remember the event."""
        self.state, self.state_message, self.termination_reason = state, message, reason
        details = {"reason": reason} if reason else {}
        stamp = int(time.time() * 1000)
        self.events.append({"cluster_id": self.cluster_id, "timestamp": stamp, "type": event, "details": details})

    def described(self) -> dict[str, Any]:
        """As ``clusters/get`` gives it."""
        said = {**self.spec, "cluster_id": self.cluster_id, "state": self.state, "state_message": self.state_message}
        return said | ({"termination_reason": self.termination_reason} if self.termination_reason else {})


@dataclass(frozen=True)
class Process:
    """A task that runs, and where it leaves what it says."""

    popen: subprocess.Popen[bytes] | Forked
    folder: Path

    def signal(self, kind: Signals) -> None:
        """Signal all processes of the task: its leader has a group of its own."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, kind)

    def wait(self, seconds: float) -> None:
        """Wait for the end of the leader, so long at most."""
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds)


class Compute:
    """All compute of a workspace."""

    def __init__(self, folder: Path, storage: Storage, instance_profile: Mapping[str, str], spark: bool) -> None:
        self._folder, self._storage, self._profile = folder, storage, dict(instance_profile)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        worker = self._image("worker", None) / "bin" / "python"
        self._engine = Engine(folder / "spark", worker, instance_profile) if spark else None
        self._warm: dict[Path, WarmPython] = {}
        self.clusters: dict[str, Cluster] = {}
        for name, security in (("dedicated-1", "SINGLE_USER"), ("standard-1", "USER_ISOLATION")):
            self.add({"cluster_name": name, "data_security_mode": security, "spark_version": "18.0.x-scala2.13"}, name)

    def add(self, spec: dict[str, Any], cluster_id: str | None = None) -> Cluster:
        """A cluster of this specification: the data security mode says what a task may do on it."""
        mode = MODES[spec.get("data_security_mode", "SINGLE_USER")]
        with self._lock:
            name = cluster_id or f"{next(self._numbers):04d}-{time.strftime('%H%M%S')}-local"
            self.clusters[name] = Cluster(name, mode, spec)
        return self.clusters[name]

    def warm(self) -> None:
        """Have Spark running."""
        if self._engine:
            self._engine.running()

    def spark_remote(self) -> str:
        """The address of Spark Connect."""
        assert self._engine is not None, "this workspace has no Spark"
        return f"sc://127.0.0.1:{self._engine.running().connect_port}"

    def close(self) -> None:
        for python in self._warm.values():
            python.close()
        if self._engine:
            self._engine.close()

    def start(self, cluster: Cluster, task: dict[str, Any], owner: Principal, host: str, token: str) -> Process:
        """Run a task in a new process: a clean environment, the task's libraries, the mode's session."""
        folder = self._folder / "runs" / str(task["run_id"])
        for part in ("work", "home"):
            (folder / part).mkdir(parents=True)
        packages = task.pop("packages")
        for package in packages:
            _require(package)
        wheels = [self._wheel(path, owner) for path in task.pop("wheels")]
        python = self._image(cluster.mode, owner) / "bin" / "python"
        description = task | {
            "mode": cluster.mode,
            "spark": self._engine is not None,
            "host": host,
            "token": token,
            "libraries": [str(w) for w in wheels],
        }
        file = folder / "task.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(description))
        environment = self._environment(cluster, folder / "home", python, [w.with_suffix("") for w in wheels])
        outputs = (folder / "stdout", folder / "stderr")
        for output in outputs:
            output.touch()
        # A script without libraries loads next to nothing.
        start = self._forked if packages or wheels else _spawned
        return Process(start(python, file, environment, folder / "work", outputs), folder)

    def _forked(self, python: Path, task: Path, variables: dict[str, str], work: Path, outputs: Outputs) -> Forked:
        """The task in a process of the image's warm Python."""
        with self._lock:
            if python not in self._warm:
                self._warm[python] = WarmPython(python, variables, python.parents[1].with_suffix(".log"))
        return self._warm[python].start(task, variables, work, outputs)

    def _environment(self, cluster: Cluster, home: Path, python: Path, sites: list[Path]) -> dict[str, str]:
        variables = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "DATABRICKS_RUNTIME_VERSION": SERVERLESS_VERSION if cluster.mode == "serverless" else RUNTIME_VERSION,
            "PYSPARK_PYTHON": str(python),
            "PYTHONPATH": os.pathsep.join(str(site) for site in sites),
        }
        if cluster.mode != "serverless":
            variables |= cluster.spec.get("spark_env_vars") or {}
        if cluster.mode == "dedicated":
            variables |= self._profile
        if self._engine is None:
            return variables
        running = self._engine.running()
        if cluster.mode == "dedicated":
            gateway = {
                "PYSPARK_GATEWAY_PORT": str(running.classic_port),
                "PYSPARK_GATEWAY_SECRET": running.classic_secret,
            }
            return variables | gateway
        return variables | {"SPARK_REMOTE": self.spark_remote()}

    def _wheel(self, path: str, owner: Principal) -> Path:
        """The wheel as an archive that Spark takes, unpacked beside it, once for each content."""
        library = f'library due to user error for whl: "{path}"'
        if path.startswith("dbfs:"):
            words = "Installing libraries stored on DBFS is not supported for Databricks Runtime 15.1 or above"
            raise LibraryError(f"Library installation failed for {library} Error messages: {words}")
        place = self._storage.readable(path, owner)
        if place is None or not path.endswith(".whl"):
            raise LibraryError(
                f"Library installation failed for {library} Error messages: File not found or not a wheel"
            )
        content = place.read_bytes()
        archive = self._folder / "libraries" / hashlib.sha256(content).hexdigest()[:16] / f"{place.stem}.zip"
        with self._lock:
            if not archive.exists():
                draft = archive.parent.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                with zipfile.ZipFile(place) as wheel:
                    wheel.extractall(draft / archive.stem)
                (draft / archive.name).write_bytes(content)
                draft.replace(archive.parent)
        return archive

    def _image(self, mode: str, owner: Principal | None) -> Path:
        """A Python with everything that this one has, but nothing of the project that is being developed in it.

        It is an environment of links. The runtime's own modules lie in it, and what the mounts show the owner.
        """
        name = f"{mode}-{hashlib.sha256((owner.name if owner else '').encode()).hexdigest()[:8]}"
        image = self._folder / "images" / name
        with self._lock:
            if not image.exists():
                draft = image.with_suffix(".draft")
                _link_environment(draft)
                (draft / "mounts.json").write_text(json.dumps(self._mounts(mode, owner)))
                image.parent.mkdir(parents=True, exist_ok=True)
                draft.replace(image)
        return image

    def _mounts(self, mode: str, owner: Principal | None) -> list[dict[str, Any]]:
        places = owner.places if owner else ("/Volumes/", "dbfs:/")
        folders = {"/Volumes": "Volumes"} | ({"/dbfs": "dbfs"} if mode == "dedicated" else {})
        return [
            {
                "shown": shown,
                "folder": str(self._storage.root / folder),
                "uploads": str(self._storage.uploads),
                "appends": shown == "/dbfs",
                "allowed": [place.replace("dbfs:", "/dbfs").rstrip("/") for place in places],
            }
            for shown, folder in folders.items()
        ]


def _spawned(
    python: Path, task: Path, variables: dict[str, str], work: Path, outputs: Outputs
) -> subprocess.Popen[bytes]:
    """The task in a process of its own from the start."""
    with outputs[0].open("wb") as out, outputs[1].open("wb") as err:
        return subprocess.Popen(
            [str(python), "-P", "-m", "dbruntime.driver", str(task)],
            env=variables,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def _require(package: str) -> None:
    """A package from an index must be one that the runtime has: nothing is downloaded here."""
    name, _, version = package.replace("===", "==").replace("==", "=").partition("=")
    try:
        installed = metadata.version(name.split("[")[0].strip())
    except metadata.PackageNotFoundError:
        installed = None
    if installed is None or (version and installed != version.strip()):
        library = f'library due to user error for pypi {{package: "{package}"}}'
        words = f"Could not find a version that satisfies the requirement {package}"
        raise LibraryError(f"Library installation failed for {library} Error messages: {words}")


def _link_environment(image: Path) -> None:
    shutil.rmtree(image, ignore_errors=True)
    site = image / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for folder in (site, image / "bin"):
        folder.mkdir(parents=True)
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    (image / "bin" / "python").symlink_to(base)
    (image / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not _of_an_editable_project(entry.name):
            (site / entry.name).symlink_to(entry)
    for entry in RUNTIME.iterdir():
        (site / entry.name).symlink_to(entry)
    (site / "databricks_runtime.pth").write_text("import dbruntime.mounts\n")


def _of_an_editable_project(name: str) -> bool:
    if name.startswith(("_editable_impl_", "__editable__")):
        return True
    return any(name == project or name.startswith(f"{project}-") for project in _editable_projects())


@functools.cache
def _editable_projects() -> set[str]:
    """The import names of what is installed from its source folder, by the note that installers leave."""
    names = set()
    for distribution in metadata.distributions():
        note = distribution.read_text("direct_url.json")
        if note and json.loads(note).get("dir_info", {}).get("editable"):
            names.add(re.sub(r"[-.]+", "_", distribution.metadata["Name"]).lower())
    return names
