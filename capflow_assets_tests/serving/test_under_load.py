"""While many ask: champions flip by the dozen, more models than fit are asked for, the process dies and comes again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from capflow_assets.serving.app import Server, create_app
from capflow_assets.stores.registry_draft import decided
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.fleets import MODEL, USERS, Fleet, fleet
from capflow_assets_tests.serving.homes import listening

PATIENCE_SECONDS = 120.0
QUERIED = list(USERS[:5])
HOUR = 3600.0


@dataclass
class Seen:
    """What the clients saw: the newest version of each customer, everything that was wrong, and how long it took.

    ``is_cold`` says of a customer whether its model would have to be loaded now.
    """

    fleet: Fleet
    versions: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unreachable: int = 0
    count: int = 0
    is_cold: Callable[[str], bool] = lambda customer: False
    warm_seconds: list[float] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)

    def ask(self, client: httpx.Client, customer: str) -> None:
        """Ask for a few users at once, and hold each answer against what its version gives."""
        head = {"authorization": f"Bearer {self.fleet.tokens[customer]}"}
        path = f"/v1/{customer}/models/{MODEL}/answers"
        is_cold, began = self.is_cold(customer), time.perf_counter()
        try:
            response = client.post(path, json={"user_ids": QUERIED}, headers=head)
        except httpx.TransportError:
            self.unreachable += 1
            time.sleep(0.05)
            return
        self.count += 1
        if response.status_code != 200:
            self.wrong.append(f"{customer}: {response.status_code} {response.text[:200]}")
            return
        (self.cold_seconds if is_cold else self.warm_seconds).append(time.perf_counter() - began)
        answers = response.json()["answers"]
        versions = {answer.get("model_version") for answer in answers}
        if len(versions) != 1:
            self.wrong.append(f"{customer}: versions {versions} in one answer")
            return
        (version,) = versions
        expected = [self.fleet.scores[version][user] for user in QUERIED]
        if not np.allclose([answer["score"] for answer in answers], expected, rtol=1e-6, atol=1e-6):
            self.wrong.append(f"{customer}: not the scores of version {version}")
        self.versions[customer] = version


@contextmanager
def asking(seen: Seen, address: str, customers: Callable[[int], str], clients: int = 2) -> Iterator[None]:
    """Clients that ask one after another, the number-th time the customer that ``customers`` names."""
    is_over = threading.Event()

    def work(first: int) -> None:
        number = first
        with httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client:
            while not is_over.is_set():
                seen.ask(client, customers(number))
                number += clients

    threads = [threading.Thread(target=work, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def waited(is_there: Callable[[], bool], patience_s: float = PATIENCE_SECONDS) -> float:
    """The seconds until something is so; an error where it never is."""
    began = time.monotonic()
    while not is_there():
        assert time.monotonic() - began < patience_s
        time.sleep(0.02)
    return time.monotonic() - began


def flipped(shops: Fleet, promote: Callable[[Sequence[str]], object], patience_s: float = PATIENCE_SECONDS) -> float:
    """All champions of a fleet are flipped under load; the seconds from the decision to the last new answer."""
    seen, customers = Seen(shops), shops.customers
    with (
        listening(create_app(shops.deployment)) as address,
        asking(seen, address, lambda number: customers[number % len(customers)]),
    ):
        waited(lambda: set(seen.versions) == set(customers), patience_s)
        promote(customers)
        seconds = waited(lambda: set(seen.versions.values()) == {2}, patience_s)
    assert seen.wrong == []
    assert seen.unreachable == 0
    return seconds


def test_champions_that_flip_under_load_mix_no_versions_and_all_answer_anew(tmp_path):
    shops = fleet(tmp_path, 6)
    flipped(shops, lambda customers: shops.promote(customers, 2))


@pytest.mark.long
def test_a_thousand_champions_flip_under_load(tmp_path):
    shops = fleet(tmp_path, 1_000)

    def promote(customers: Sequence[str]) -> None:
        pairs = [(customer, MODEL) for customer in customers]
        assert all(
            change.is_made for change in decided(shops.deployment.registry, pairs, "promote", "a test", "a test")
        )

    seconds = flipped(shops, promote, patience_s=HOUR)
    print(f"a thousand champions: the last answers anew after {seconds:.1f} s")  # noqa: T201


def zipf(count: int, seed: int) -> Callable[[int], int]:
    """Places in an order of popularity by Zipf's law with exponent 1.1, of ``count``."""
    weights = 1.0 / np.arange(1, count + 1) ** 1.1
    places = np.random.default_rng(seed).choice(count, 1 << 16, p=weights / weights.sum())
    return lambda number: int(places[number % len(places)])


def kept_within(shops: Fleet, bound_bytes: int, is_enough: Callable[[Seen, Server], bool]) -> tuple[Seen, Server]:
    """Traffic by Zipf's law over a fleet: what is kept stays within the bound at every look."""
    seen, customers, place = Seen(shops), shops.customers, zipf(len(shops.tokens), seed=1)
    app = create_app(shops.deployment, bound_bytes=bound_bytes)
    server: Server = app.state.server
    cache = server.service.cache
    seen.is_cold = lambda customer: (customer, MODEL, 1) not in cache
    with listening(app) as address, asking(seen, address, lambda number: customers[place(number)]):

        def holds() -> bool:
            assert cache.resident_bytes <= bound_bytes
            return is_enough(seen, server)

        began = time.monotonic()
        while not holds() and time.monotonic() - began < 2 * HOUR:
            time.sleep(0.02)
    assert seen.wrong == []
    return seen, server


def in_words(seen: Seen) -> str:
    """How long requests took, and those alone that a model was loaded for."""
    (p50, p99), cold = np.percentile(seen.warm_seconds, (50, 99)) * 1e3, np.percentile(seen.cold_seconds, 99) * 1e3
    share = len(seen.cold_seconds) / seen.count
    return f"{seen.count:,} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms; {share:.1%} cold, their p99 {cold:.0f} ms"


def test_more_models_than_fit_are_answered_within_the_bound(tmp_path):
    shops = fleet(tmp_path, 30)
    kept_within(shops, 3 << 20, lambda seen, server: server.service.cache.evictions > 20 and seen.count > 100)


@pytest.mark.long
def test_an_hour_of_traffic_over_three_thousand_models_keeps_to_the_bound(tmp_path):
    from capflow_assets.serving.memory import rss_bytes

    shops, bound = fleet(tmp_path, 3_000, rounds=200), 128 << 20
    until = time.monotonic() + float(os.environ.get("CAPFLOW_ZIPF_SECONDS", HOUR))
    resident: list[int] = []

    def is_over(seen: Seen, server: Server) -> bool:
        if server.service.cache.evictions:  # from the first one on the bound is reached
            resident.append(rss_bytes())
        return time.monotonic() > until

    seen, server = kept_within(shops, bound, is_over)
    cache, most = server.service.cache, max(resident) / 1e6
    loads = f"{cache.cold_loads:,} loads, {cache.evictions:,} evictions"
    kept = f"{cache.resident_bytes / 1e6:,.0f} MB kept of {bound / 1e6:,.0f}"
    print(f"{in_words(seen)}; {loads}; {kept}, RSS {most:,.0f} MB at most, {resident[0] / 1e6:,.0f} MB at first")  # noqa: T201
    assert max(resident) - resident[0] < bound


@contextmanager
def serving(root: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own."""
    words = [sys.executable, "-m", "capflow_assets", "serve", "--port", str(port), "--home", str(root)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_server_that_is_killed_under_load_answers_the_same_again(tmp_path):
    shops, port = fleet(tmp_path, 2), free_port()
    seen, customers = Seen(shops), shops.customers
    with asking(seen, f"http://127.0.0.1:{port}", lambda number: customers[number % 2]):
        for _ in range(2):
            before = seen.count
            with serving(tmp_path, port) as process:
                waited(lambda before=before: seen.count > before + 20)
                process.send_signal(signal.SIGKILL)
                process.wait()
    assert seen.wrong == []
    assert seen.versions == dict.fromkeys(customers, 1)
