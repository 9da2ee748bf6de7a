"""What it takes to score many users: seconds and the most memory that the process held, for ``SIZES`` users.

The features lie in the lake as of the moment, as they do at night. The champion is the propensity to buy with its
reasons, trained on some of the users. Beside it, in memory and without reasons: the champion's answers against those
of its trees alone, by ``Booster.predict`` of the same matrix.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

SIZES = (100_000, 1_000_000)
ROUNDS = 5
AS_OF = datetime(2024, 6, 30, tzinfo=UTC)
CUSTOMER, MODEL = "many", "purchase_propensity"
TOML = """
name = "many"
vertical = "grocery"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "s3://many/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""


def run() -> None:
    """Print a line per size, and one of answers in memory, each measured in a process of its own."""
    for users in SIZES:
        with TemporaryDirectory() as folder:
            _prepare(Path(folder), users)
            parts = (_score, _answered) if users == SIZES[-1] else (_score,)
            for part in parts:
                program = [sys.executable, "-m", "bench.scoring", part.__name__, folder]
                subprocess.run(program, check=True)  # noqa: S603


def _prepare(root: Path, users: int) -> None:
    """A home with features and a champion of it."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from deltalake import write_deltalake

    from capflow_assets.contract import Examples
    from capflow_assets.definitions import STAGES
    from capflow_assets.models.purchase_propensity import PurchasePropensityParams
    from capflow_assets.monitoring.drift import reference
    from capflow_assets.stores.saved_estimators import dumps, types_of

    random = np.random.default_rng(0)
    place = _deployment(root)
    model, ids = STAGES.model(MODEL).model, [f"u{number:09d}" for number in range(users)]
    features = pd.DataFrame({name: random.gamma(2.0, 30.0, users) for name in model.columns}, index=ids)
    for reads in model.joined:
        rows = {"user_id": ids, "as_of": pa.array([AS_OF] * users, pa.timestamp("us", tz="UTC"))}
        columns = {name: features[name].to_numpy() for name in reads.columns}
        write_deltalake(place.lake.path(CUSTOMER, reads.table), pa.table(rows | columns))
    some = features.head(20_000).rename_axis("user_id").assign(moment=np.arange(20_000) % 4)
    bought = pd.DataFrame({"bought": (some["recency_days"] < 40).astype(float)})
    estimator = model.challengers[0].make(PurchasePropensityParams()).fit(Examples(some, bought))
    scores = estimator.figures(Examples(some))["score"]
    files = {"reference.json": reference(some.drop(columns="moment").assign(score=scores)).to_json().encode()}
    report = {"as_of": AS_OF.isoformat(), "horizon_days": 30, "params": {}}
    version = place.registry.register(CUSTOMER, MODEL, dumps(estimator, types_of(model)), report, files)
    place.registry.promote(CUSTOMER, MODEL, version, "bench")


def _answered(root: Path) -> None:
    """Print the rate of a champion's answers against that of its trees alone: the medians of a few rounds of both."""
    from statistics import median

    import numpy as np
    import pandas as pd
    import xgboost

    from capflow_assets.contract import Examples
    from capflow_assets.definitions import STAGES
    from capflow_assets.stores.saved_estimators import types_of

    random, model, users = np.random.default_rng(0), STAGES.model(MODEL).model, SIZES[-1]
    features = pd.DataFrame({name: random.gamma(2.0, 30.0, users) for name in model.columns})
    estimator = _deployment(root).registry.load(CUSTOMER, MODEL, 1, types_of(model))
    matrix, threads = features.to_numpy(), estimator.params.threads

    def alone() -> None:
        estimator.trees.predict(xgboost.DMatrix(matrix, nthread=threads, feature_names=list(features.columns)))

    seconds: list[list[float]] = []
    for answer in (lambda: estimator.figures(Examples(features)), alone):
        answer()  # memory is fetched once
        seconds.append([])
        for _ in range(ROUNDS):
            began = time.perf_counter()
            answer()
            seconds[-1].append(time.perf_counter() - began)
    ours, trees = (users / median(rounds) for rounds in seconds)
    print(  # noqa: T201
        f"scoring: {users:,} in memory without reasons: ours {ours:,.0f} a second, Booster.predict {trees:,.0f}: "
        f"{ours / trees:.2f} (bar: 0.8)"
    )


def _deployment(root: Path):  # type: ignore[no-untyped-def]
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import Engine, deployment
    from capflow_assets.home.places import Home

    home = Home.of(root, {}).prepare()
    (root / "customers" / f"{CUSTOMER}.toml").write_text(TOML)
    return deployment(STAGES, SOURCES, home=home, engine=Engine())


def _score(root: Path) -> None:
    from capflow_assets.definitions import STAGES
    from capflow_assets.life.examples import ExampleReader
    from capflow_assets.life.scoring import score

    place = _deployment(root)
    reader = ExampleReader(place.lake, STAGES, place.customer(CUSTOMER), STAGES.model(MODEL))
    began = time.perf_counter()
    scored = score(place, reader, AS_OF)
    seconds = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert scored is not None  # noqa: S101
    print(f"scoring: {scored.totals.rows:,} users in {seconds:.1f} s, {most:.2f} GB at most")  # noqa: T201


if __name__ == "__main__":
    {"_score": _score, "_answered": _answered}[sys.argv[1]](Path(sys.argv[2]))
