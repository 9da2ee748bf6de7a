"""`capflow serve` against peers that serve the same trees, and its own figures.

Ours has ``MODELS`` customers with a model each, a peer has the one. Of each server: the rate at which it answers one
core of clients, one request after another on eight connections, and p50 and p99 at a fixed rate of half of that;
resident bytes. Ours answers by user id, and from features; then while a customer asks 50 times its share. What is
printed is written to ``bench/serving.md``, with the machine's load: on a busy machine only the ratios say something.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from bench.serving_load import Load, answers, client_core, fixed_rate, get, peak, post, server, tree_rss_mb
from bench.serving_peers import PEERS, Trees
from capflow_assets_doubles.fleets import MODEL, USERS, Fleet, fleet

SECONDS = 6.0
MODELS, ROUNDS, WIDTH = 3_000, 200, 60
QUIET_SECONDS = 5.0
REPORT = Path(__file__).with_name("serving.md")
# The figures of a test by `make test-long`, which stand in the same file and are kept.
OF_TEST = "Three thousand models by Zipf"
SHARE, TIMES = 20, 50
MODEST_RATE = 50
HEAD = """# Online answers

By `python -m bench serving`, {date}, on {cores} cores at a load of {load:.1f} (server and client have a core each; on
a busy machine only the ratios say something). All servers answer for one row of {width} features from the same {rounds}
trees of depth 4: ours with {models:,} models registered, of as many customers, the peers with the one.

| server | answers a second | p50 ms | p99 ms at half of that | errors | MB | rate, of ours | p99, of ours |
|---|---|---|---|---|---|---|---|
"""


def run() -> None:
    """Print a table, and write it to ``bench/serving.md``."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shops = fleet(home, MODELS, ROUNDS, versions=1, width=WIDTH)
        first, user = shops.customers[0], USERS[0]
        other = _add_greedy(home, first)
        features = dict(zip(shops.columns, shops.values[user], strict=True))
        path, head = f"/v1/{{}}/models/{MODEL}/answers", {"authorization": f"Bearer {shops.tokens[first]}"}
        by_id = get(f"{path.format(first)}/{user}", head)
        by_features = post(path.format(first), {"instances": [{"features": features}]}, head)
        rows: dict[str, tuple[Load, Load, float]] = {}
        program = [sys.executable, "-m", "capflow_assets", "serve", "--home", str(home), "--port", "PORT"]
        with server(program) as (port, pid):
            _wait_until_published(pid)
            for name, request in (("ours, by features", by_features), ("ours, by user id", by_id)):
                rows[name] = _measured(port, pid, request)
            greedy = get(f"{path.format(other)}/{user}", {"authorization": f"Bearer {shops.tokens[other]}"})
            fair = _fair(port, by_id, greedy)
        trees = _trees(Path(folder), shops, list(features.values()))
        for name, peer in PEERS.items():
            if measured := _peer(peer, trees):
                rows[name] = measured
            else:
                print(f"{name}: left out, it cannot be made or does not answer")  # noqa: T201
    text = _table(rows, len(features)) + fair
    print(text)  # noqa: T201
    _, is_there, of_test = REPORT.read_text(encoding="utf-8").partition(OF_TEST)
    REPORT.write_text(f"{text.rstrip()}\n\n{is_there}{of_test}" if is_there else text, encoding="utf-8")


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
    return HEAD.format(width=width, rounds=ROUNDS, models=MODELS, **head) + "".join(lines)


def _fair(port: int, modest: bytes, greedy: bytes) -> str:
    """The p99 of a customer while another asks far more than its share."""

    async def both() -> tuple[Load, Load]:
        loads = fixed_rate(port, modest, MODEST_RATE, SECONDS), fixed_rate(port, greedy, SHARE * TIMES, SECONDS)
        quiet, loud = await asyncio.gather(*loads)
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


def _add_greedy(home: Path, first: str) -> str:
    """Give a second customer a share of ``SHARE`` answers a second; its name."""
    greedy = f"{first[:-1]}1"
    file = home / "customers" / f"{greedy}.toml"
    text = file.read_text()
    file.write_text(text.replace("answers_per_second = 1000000", f"answers_per_second = {SHARE}"))
    return greedy


def _wait_until_published(pid: int) -> None:
    """Wait while a new server looks once at all customers' tables, in a process of its own."""
    import psutil

    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        if psutil.Process(pid).children(recursive=True):
            quiet_since = time.monotonic()
        time.sleep(0.5)


def _trees(folder: Path, shops: Fleet, row: list[float]) -> Trees:
    """The fleet's trees for the peers: as a graph, and as XGBoost saves them."""
    from capflow_assets.learning.online.tree_graphs import graph_of

    booster = shops.trees.copy()
    booster.feature_names = [f"f{number}" for number in range(len(row))]
    graph, saved = folder / "peer.onnx", folder / "peer.json"
    graph.write_bytes(graph_of(json.loads(bytes(booster.save_raw("json"))))[0])
    booster.save_model(saved)
    return Trees(str(graph), str(saved), row)
