"""The category of photos taken in shops, by pictures and descriptions of a catalogue: what the encoders add.

A greengrocer sends a catalogue with categories, descriptions and pictures, bills, and photos as items of which nothing
else is known. ``item_tags`` answers for them, as for any customer: TOML, landing, training, predictions. Once with what
needs nothing (words by their hash, colour and shape), once with the encoders (the Universal Sentence Encoder,
EfficientNet-Lite0).

    CAPFLOW_PICTURES=/path/to/dataset python -m bench shop_photos
    python -m bench.shop_photos /path/to/dataset

The folder is that of GroceryStoreDataset (MIT): ``iconic-images-and-descriptions`` and ``val``.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NAME, CATALOGUE, PHOTOS = "greengrocer", "iconic-images-and-descriptions", "val"
ENCODERS = {"what needs nothing": ("descriptors", "hashed"), "the encoders": ("efficientnet", "universal")}
USERS, DAYS = 120, 200


def run() -> None:
    """Print the figures, where ``CAPFLOW_PICTURES`` names the folder."""
    if folder := os.environ.get("CAPFLOW_PICTURES"):
        measure(Path(folder))
    else:
        print("shop_photos: CAPFLOW_PICTURES names no folder of GroceryStoreDataset")  # noqa: T201


def measure(dataset: Path) -> None:
    """The share of photos whose category is the likeliest one by each way, and the difference, with intervals."""
    from bench.encoders import interval

    hits = {words: answered(dataset, *encoders) for words, encoders in ENCODERS.items()}
    for words, of_photos in hits.items():
        print(f"shop_photos: {words}: {interval(of_photos.to_numpy())} of {len(of_photos)} photos right")  # noqa: T201
    plain, encoded = hits.values()
    print(f"shop_photos: encoders over what needs nothing: {interval((encoded - plain).to_numpy())}")  # noqa: T201


def answered(dataset: Path, pictures: str, texts: str) -> pd.Series:
    """Whether the likeliest category of each photo is right (1 or 0), by item; of a home that is thrown away."""
    import pandas as pd

    with TemporaryDirectory() as folder:
        files, home = Path(folder, "files"), Path(folder, "home")
        toml, right = written(dataset, files, pictures, texts)
        for command in (["onboard", str(toml)], ["run", NAME, "--select", "+models/item_tags,predictions/item_tags"]):
            capflow(home, *command)
        rows = json.loads(capflow(home, "show", "predictions/item_tags", "--customer", NAME, "--format", "json"))
    of_category = {row["item_id"]: row for row in rows if row["attribute"] == "category"}
    rungs = {str(row["rung"]) for row in of_category.values()}
    print(f"shop_photos: {pictures}, {texts}: answered by {', '.join(sorted(rungs))}")  # noqa: T201
    return pd.Series({item: float(of_category[item]["likely_tag"] == tag) for item, tag in right.items()}).sort_index()


def written(dataset: Path, files: Path, pictures: str, texts: str) -> tuple[Path, dict[str, str]]:
    """The customer's files and TOML, and the category of each photo, which the customer does not send."""
    import pandas as pd
    import tomlkit

    (files / "pictures").mkdir(parents=True)
    items, right = list[dict[str, Any]](), dict[str, str]()
    for root, pattern in ((CATALOGUE, "*_Iconic.jpg"), (PHOTOS, "*.jpg")):
        for number, file in enumerate(sorted((dataset / root).rglob(pattern))):
            category = file.relative_to(dataset / root).parts[1]
            item = f"{root[0]}{number:03d}"
            copyfile(file, files / "pictures" / f"{item}.jpg")
            if root == PHOTOS:
                right[item] = category
                items.append({"item_id": item})
                continue
            said = file.with_name(file.name.replace("_Iconic.jpg", "_Description.txt"))
            text = " ".join(said.read_text(encoding="utf-8").split()) if said.exists() else None
            items.append({"item_id": item, "description": text, "category": category})
    frame = pd.DataFrame(items, columns=["item_id", "description", "category"])
    frame.to_csv(files / "items.csv", index=False)
    _bills(frame.loc[frame["category"].notna(), "item_id"].to_numpy()).to_csv(files / "line_items.csv", index=False)
    path = files / f"{NAME}.toml"
    path.write_text(tomlkit.dumps(_settings(pictures, texts)), encoding="utf-8")
    return path, right


def _settings(pictures: str, texts: str) -> dict[str, Any]:
    media = {name: name for name in ("path", "kind", "media_type", "size_bytes", "sha256", "item_id")}
    columns = {name: name for name in ("bill_id", "item_id", "user_id", "billed_at", "quantity", "amount")}
    csv = {"source": "csv", "options": {"timestamp_format": "yyyy-MM-dd HH:mm:ss"}}
    return {
        "name": NAME,
        "vertical": "grocery",
        "currency": "SEK",
        "time_zone": "Europe/Stockholm",
        "only_models": ["item_tags"],
        "tables": {
            "line_items": {**csv, "location": "line_items.csv", "columns": columns},
            "items": {
                "source": "csv",
                "location": "items.csv",
                "columns": {name: name for name in ("item_id", "description", "category")},
            },
            "media": {
                "source": "files",
                "location": "pictures",
                "options": {"link": r"(?P<item_id>[^/]+)\.jpg$"},
                "columns": {"media_id": "relative_path", **media},
            },
        },
        "features": {"item_pictures": {"encoder": pictures}},
        "models": {"item_tags": {"encoder": texts}},
    }


def _bills(items: np.ndarray) -> pd.DataFrame:
    """Bills of the catalogue's items, which no answer rests on: a customer has some."""
    import numpy as np
    import pandas as pd

    random, count = np.random.default_rng(0), USERS * 10
    began = datetime(2024, 1, 1, 9, 30)  # noqa: DTZ001  (the shop's own time)
    return pd.DataFrame(
        {
            "bill_id": [f"b{number:05d}" for number in range(count)],
            "item_id": random.choice(items, count),
            "user_id": [f"u{number:03d}" for number in random.integers(0, USERS, count)],
            "billed_at": [began + timedelta(days=int(day)) for day in np.sort(random.integers(0, DAYS, count))],
            "quantity": 1,
            "amount": 10.0,
        }
    )


def capflow(home: Path, *arguments: str) -> str:
    """What a command printed.

    Raises:
        SystemExit: it failed.
    """
    from capflow_assets.cli.commands import main

    said = TextIOWrapper(BytesIO(), encoding="utf-8")
    with redirect_stdout(said):
        try:
            main([*arguments, "--home", str(home)])
        except SystemExit as ended:
            if ended.code:
                sys.exit(f"capflow {arguments[0]} failed")
    said.seek(0)
    return said.read()


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
