"""A grown deployment, all of it real: Dagster on PostgreSQL, MLflow's server on another, the lake in a bucket.

Its backup is taken, everything is destroyed, and what comes back elsewhere by the commands of `deploy/backup.md` says
the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.page_server import environment
from capflow_assets_tests.platform.services import (
    Aws,
    aws,
    mlflow_server,
    postgres,
    postgres_programs,
    several,
    with_driver,
)

DEPLOY = Path(__file__).parents[2] / "deploy"
TABLES = "raw/bills,clean/bills,features/rfm"
BEFORE, AFTER = "grown-before", "grown-after"
JSON = "{} --format json"
SHOW = "show predictions/rfm_segments --customer shop"
LOOK = JSON.format("explain shop rfm_segments")


@dataclass
class Deployment:
    """A home, where its states lie, and what leads a process there."""

    home: Path
    lake: str
    databases: dict[str, str]
    variables: dict[str, str]
    champion: int = 0

    def ok(self, *commands: str) -> list[str]:
        """What commands printed that must succeed, one after another in one process of their own."""
        done = several(self.home, *commands, **self.variables)
        assert [said.code for said in done] == [0] * len(commands), done
        return [said.out for said in done]

    def says(self) -> dict[str, Any]:
        """What a person sees of the customer."""
        looks = ("status", SHOW, "explain shop rfm_segments")
        return {look: json.loads(said) for look, said in zip(looks, self.ok(*map(JSON.format, looks)), strict=True)}

    def champions(self, *commands: str) -> list[int]:
        """The champion at first, and after each of the commands."""
        calls = [part for command in commands for part in (command, LOOK)]
        return [json.loads(said)["version"] for said in self.ok(LOOK, *calls)[::2]]


def deployment(stack: ExitStack, cloud: Aws, bucket: str, folder: Path, restored: Any = None) -> Deployment:
    """All services, new and empty but for what ``restored`` puts there before MLflow's server starts."""
    cloud.client("s3").create_bucket(Bucket=bucket)
    lake = f"s3://{bucket}/brands"
    databases = stack.enter_context(postgres())
    variables = cloud.variables() | {
        "CAPFLOW_LAKE": lake,
        "CAPFLOW_POSTGRES_URL": with_driver(databases["dagster"]),
    }
    place = Deployment(folder / "home", lake, databases, variables)
    if restored is not None:
        restored(place)
    url = stack.enter_context(
        mlflow_server(
            with_driver(databases["mlflow"]), f"s3://{bucket}/others", folder / "mlflow.log", **cloud.variables()
        )
    )
    variables["MLFLOW_TRACKING_URI"] = url
    return place


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with aws() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def services() -> Iterator[ExitStack]:
    """The services of the first deployment; the restore destroys them."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def grown(cloud: Aws, services: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """One customer, whose segments were trained twice."""
    folder = tmp_path_factory.mktemp("grown")
    place = deployment(services, cloud, BEFORE, folder)
    toml = write(simulate(tiny("shop", seed=3, users=200, sends=("bills",))), folder / "files")
    run = "run shop --select"
    said = place.ok(f"onboard {toml}", f"{run} {TABLES},*/rfm_segments", f"{run} models/rfm_segments", LOOK)
    place.champion = json.loads(said[-1])["version"]
    return place


def test_a_champion_is_named_and_taken_back_through_the_server(grown: Deployment) -> None:
    first = grown.champion
    other = {1: 2, 2: 1}[first]
    commands = (f"promote shop rfm_segments --version {other}", "rollback shop rfm_segments")
    assert grown.champions(*commands) == [first, other, first]


def test_the_champion_is_loaded_from_the_bucket_to_score(grown: Deployment) -> None:
    _, shown = grown.ok("run shop --select predictions/rfm_segments,health/rfm_segments", JSON.format(SHOW))
    assert len(json.loads(shown)) > 100


def test_artifacts_lie_below_the_customer_and_none_went_through_the_server(cloud: Aws, grown: Deployment) -> None:
    keys = cloud.keys(BEFORE)
    assert [key for key in keys if key.startswith("brands/shop/mlflow/rfm_segments/") and key.endswith("model.skops")]
    assert all(key.startswith("brands/shop/") for key in keys)


def test_the_home_keeps_customers_settings_and_the_machines_own_locks_only(grown: Deployment) -> None:
    assert sorted(path.name for path in grown.home.iterdir()) == ["customers", "dagster", "locks"]
    assert [path.name for path in (grown.home / "locks").iterdir()] == ["home.lock"]
    assert grown.databases["dagster"].split("://")[1] not in (grown.home / "dagster" / "dagster.yaml").read_text()


def test_new_databases_are_at_the_head_of_their_migrations(grown: Deployment) -> None:
    assert all(at == head for at, head in revisions(grown).values())


def test_the_pages_commands_bring_databases_of_a_release_before_to_the_head(grown: Deployment) -> None:
    one_back(grown)
    assert all(at != head for at, head in revisions(grown).values())
    migrate(grown)
    assert all(at == head for at, head in revisions(grown).values())
    assert grown.champions()


def test_what_comes_back_from_a_backup_says_the_same(
    cloud: Aws, grown: Deployment, services: ExitStack, tmp_path: Path
) -> None:
    before = grown.says()
    run(blocks(DEPLOY / "backup.md", "backup"), grown, BACKUP=str(tmp_path))

    services.close()
    storage = cloud.client("s3")
    for key in cloud.keys(BEFORE):
        storage.delete_object(Bucket=BEFORE, Key=key)
    storage.delete_bucket(Bucket=BEFORE)
    shutil.rmtree(grown.home)

    def restored(place: Deployment) -> None:
        run(blocks(DEPLOY / "backup.md", "restore"), place, BACKUP=str(tmp_path))

    with ExitStack() as elsewhere:
        place = deployment(elsewhere, cloud, AFTER, tmp_path / "elsewhere", restored)
        assert place.says() == json.loads(json.dumps(before).replace(f"s3://{BEFORE}/", f"s3://{AFTER}/"))
        migrate(place)
        place.ok("run shop --select predictions/rfm_segments")
        assert all(at == head for at, head in revisions(place).values())


def blocks(page: Path, name: str) -> str:
    """The commands of a page's blocks that are marked so."""
    commands = re.findall(rf"^```bash *{name}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert commands, f"{page.name} has no block {name!r}"
    return "\n".join(commands)


def run(commands: str, place: Deployment, **more: str) -> None:
    """Commands as a person would type them, with the deployment's variables and PostgreSQL's own programs."""
    variables = {
        "CAPFLOW_HOME": str(place.home),
        "DAGSTER_DATABASE": place.databases["dagster"],
        "MLFLOW_DATABASE": place.databases["mlflow"],
        "PATH": os.pathsep.join([str(postgres_programs()), str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=environment(**place.variables | variables | more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def revisions(place: Deployment) -> dict[str, tuple[str, str]]:
    """For each database, the migration it is at, and the newest that the installed library knows."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    by_database = {}
    for name, config in migrations(place).items():
        engine = create_engine(with_driver(place.databases[name]))
        with engine.connect() as connection:
            at = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
        by_database[name] = (str(at), str(ScriptDirectory.from_config(config).get_current_head()))
    return by_database


def migrations(place: Deployment) -> dict[str, Any]:
    """Each library's own migrations, as alembic reads them."""
    import dagster_postgres.run_storage.run_storage as dagster_storage
    from dagster_postgres.utils import pg_alembic_config
    from mlflow.store.db.utils import _get_alembic_config

    return {
        "dagster": pg_alembic_config(dagster_storage.__file__),
        "mlflow": _get_alembic_config(with_driver(place.databases["mlflow"])),
    }


def migrate(place: Deployment) -> None:
    """As the page says; where all is new already, nothing happens."""
    run(blocks(DEPLOY / "postgres.md", "migrate"), place, MLFLOW_DATABASE=with_driver(place.databases["mlflow"]))


def one_back(place: Deployment) -> None:
    """Both databases as the release before the newest migration left them."""
    from alembic.command import downgrade
    from sqlalchemy import create_engine

    for name, config in migrations(place).items():
        engine = create_engine(with_driver(place.databases[name]))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            downgrade(config, "-1")
        engine.dispose()
