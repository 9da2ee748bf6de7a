"""`capflow serve` against peers that serve the same number of trees over as many features, and its own figures.

One simulated customer. Of each server: the rate at which it answers one core of clients, one request after another on
eight connections, and p50 and p99 at a fixed rate of half of that; resident bytes. Ours answers by user id, and from
features; then while a customer asks 50 times its share. What is printed is written to ``bench/serving.md``, with the
machine's load: on a busy machine only the ratios say something.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.serving_load import Load, answers, client_core, fixed_rate, get, peak, post, server, tree_rss_mb
from bench.serving_peers import PEERS, Trees

SECONDS = 6.0
MODEL = "purchase_propensity"
REPORT = Path(__file__).with_name("serving.md")
SHARE, TIMES = 20, 50
MODEST_RATE = 50
GREEDY = "greedy"
HEAD = """# Online answers

By `python -m bench serving`, {date}, on {cores} cores at a load of {load:.1f} (server and client have a core each; on
a busy machine only the ratios say something). All servers answer for one row of {width} features from boosted trees:
ours from the champion of a simulated customer, the peers from 200 trees of depth 4.

| server | answers a second | p50 ms | p99 ms at half of that | errors | MB | rate, of ours | p99, of ours |
|---|---|---|---|---|---|---|---|
"""


def run() -> None:
    """Print a table, and write it to ``bench/serving.md``."""
    with tempfile.TemporaryDirectory() as folder:
        home, token, user, features = _home(Path(folder))
        _add_greedy(home)
        other = _token(home, GREEDY)
        path, head = f"/v1/{{}}/models/{MODEL}/answers", {"authorization": f"Bearer {token}"}
        by_id = get(f"{path.format('shop')}/{user}", head)
        by_features = post(path.format("shop"), {"instances": [{"features": features}]}, head)
        rows: dict[str, tuple[Load, Load, float]] = {}
        program = [sys.executable, "-m", "capflow_assets", "serve", "--home", str(home), "--port", "PORT"]
        with server(program) as (port, pid):
            for name, request in (("ours, by features", by_features), ("ours, by user id", by_id)):
                rows[name] = _measured(port, pid, request)
            greedy = get(f"{path.format(GREEDY)}/{user}", {"authorization": f"Bearer {other}"})
            fair = _fair(port, by_id, greedy)
        row = [value if value is not None else float("nan") for value in features.values()]
        trees = _trees(Path(folder), np.nan_to_num(row).tolist())
        for name, peer in PEERS.items():
            if measured := _peer(peer, trees):
                rows[name] = measured
            else:
                print(f"{name}: left out, it cannot be made or does not answer")  # noqa: T201
    text = _table(rows, len(features)) + fair
    print(text)  # noqa: T201
    REPORT.write_text(text)


def _measured(port: int, pid: int, request: bytes) -> tuple[Load, Load, float]:
    """A server's rate, its times at half of it, and its resident megabytes."""
    with client_core():
        asyncio.run(peak(port, request, 2.0))
        most = asyncio.run(peak(port, request, SECONDS))
        half = asyncio.run(fixed_rate(port, request, max(1.0, most.rate / 2), SECONDS))
    return most, half, tree_rss_mb(pid)


def _peer(
    peer: Callable[[Trees], AbstractContextManager[tuple[int, int, bytes]]], trees: Trees
) -> tuple[Load, Load, float] | None:
    try:
        with peer(trees) as (port, pid, request):
            return _measured(port, pid, request) if answers(port, request) else None
    except (OSError, subprocess.CalledProcessError, asyncio.IncompleteReadError):
        return None


def _table(rows: dict[str, tuple[Load, Load, float]], width: int) -> str:
    own_most, own_half, _ = rows["ours, by features"]
    head = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    lines = [
        f"| {name} | {most.rate:,.0f} | {half.ms(50):.1f} | {half.ms(99):.1f} | {most.errors + half.errors} "
        f"| {mb:,.0f} | {most.rate / own_most.rate:.2f} | {half.ms(99) / own_half.ms(99):.1f} |\n"
        for name, (most, half, mb) in rows.items()
    ]
    return HEAD.format(width=width, **head) + "".join(lines)


def _fair(port: int, modest: bytes, greedy: bytes) -> str:
    """The p99 of a customer while another asks far more than its share."""

    async def both() -> tuple[Load, Load]:
        asked = fixed_rate(port, modest, MODEST_RATE, SECONDS), fixed_rate(port, greedy, SHARE * TIMES, SECONDS)
        quiet, loud = await asyncio.gather(*asked)
        return quiet, loud

    with client_core():
        alone = asyncio.run(fixed_rate(port, modest, MODEST_RATE, SECONDS))
        beside, loud = asyncio.run(both())
    p99, refused = f"{beside.ms(99):.1f} ms ({beside.errors} errors)", f"{loud.errors:,} of {len(loud.seconds):,}"
    return (
        f"\nFair shares: the p99 of a customer that asks {MODEST_RATE} times a second is {alone.ms(99):.1f} ms alone, "
        f"and {p99} while\nanother with a share of {SHARE} answers a second asks {SHARE * TIMES:,} times a second, "
        f"of which {refused} were told to wait.\n"
    )


def _home(folder: Path) -> tuple[Path, str, str, dict[str, float | None]]:
    """A home with a customer whose one model was trained and has answered; its token, a user and its features."""
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.home.places import Home
    from capflow_assets.serving.lookups import Lookups
    from capflow_assets.serving.publication import publish
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    root = folder / "home"
    toml = write(
        simulate(tiny("shop", seed=1, users=1500, days=500)), folder / "files", settings={"only_models": [MODEL]}
    )
    with toml.open("a") as file:
        file.write("\n[serving]\nvalid_hours = 87600.0\nanswers_per_second = 1000000\n")
    for words in (("onboard", str(toml)), ("run", "shop"), ("promote", "shop", MODEL), ("run", "shop")):
        command = [sys.executable, "-m", "capflow_assets", *words, "--home", str(root)]
        subprocess.run(command, check=words[0] != "promote", capture_output=True)  # noqa: S603
    opened = deployment(STAGES, SOURCES, home=Home.of(root))
    token = _token(root, "shop")
    publish(opened, "shop")
    user = str(opened.lake.arrow("shop", f"predictions/{MODEL}", 1).column("user_id")[0])
    known = Lookups(opened.home).features("shop", user)[0] or {}
    wanted = STAGES.model(MODEL).model.columns
    return root, token, user, {name: None if known[name] != known[name] else known[name] for name in wanted}


def _token(root: Path, customer: str) -> str:
    from capflow_assets.home.places import Home
    from capflow_assets.serving.tokens import issue

    return issue(Home.of(root), customer)


def _add_greedy(root: Path) -> None:
    """A second customer with the first one's tables, and a share of ``SHARE`` answers a second."""
    text = (root / "customers" / "shop.toml").read_text().replace('"shop"', f'"{GREEDY}"')
    text = text.replace("answers_per_second = 1000000", f"answers_per_second = {SHARE}")
    (root / "customers" / f"{GREEDY}.toml").write_text(text)
    shutil.copytree(root / "lake" / "shop", root / "lake" / GREEDY)


def _trees(folder: Path, row: list[float]) -> Trees:
    """Trees of the usual size over as many features: as a graph, and as XGBoost saves them."""
    import xgboost

    from capflow_assets.learning.online.tree_graphs import graph_of

    chance = np.random.default_rng(0)
    values = chance.random((2000, len(row)))
    names = [f"f{number}" for number in range(len(row))]
    rows = xgboost.DMatrix(values, label=values[:, 0] > 0.5, feature_names=names)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4}, rows, 200)
    graph, saved = folder / "peer.onnx", folder / "peer.json"
    graph.write_bytes(graph_of(json.loads(bytes(booster.save_raw("json"))))[0])
    booster.save_model(saved)
    return Trees(str(graph), str(saved), row)
