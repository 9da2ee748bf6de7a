"""The picture of a table: drawn of its rows, or the one that lies there where these rows were drawn before.

Drawing is dear beside the work on a small table. So what a picture was drawn of is noted beside it: the rows'
fingerprint, their types, the code, and a digest of the picture itself. Where all of it is the same, it is not drawn
again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.stores.fingerprints import fingerprint
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A look at more rows than these costs more than the drawing.
MOST_ROWS_TO_COMPARE = 200_000


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one customer's tables; ``draw`` makes an image of a figure, None where no pictures are wanted."""

    lake: Lake
    customer: str
    draw: Callable[[Any], bytes] | None = None

    def of(self, spec: TableSpec, frame: DataFrame, rows: int) -> bytes | None:
        """The picture of a table of so many rows; None where it has none."""
        if spec.plot is None or self.draw is None:
            return None
        if rows > MOST_ROWS_TO_COMPARE:
            return self.draw(spec.plot(frame))
        drawn_of = {"rows": str(fingerprint(frame)), "types": frame.dtypes, "code": _code(spec.plot, self.draw)}
        name = place(spec.key)
        image = self.lake.read_bytes(self.customer, name)
        if image is not None and self.lake.read_bytes(self.customer, f"{name}.json") == _note(drawn_of, image):
            return image
        image = self.draw(spec.plot(frame))
        self.lake.save_bytes(self.customer, f"{name}.json", _note(drawn_of, image))
        return image


def place(table: str) -> str:
    """Where the picture of a table lies below the customer's prefix.

    >>> place("features/rfm")
    'plots/features.rfm.png'
    """
    return f"plots/{table.replace('/', '.')}.png"


def _note(drawn_of: dict[str, Any], image: bytes) -> bytes:
    return json.dumps({**drawn_of, "picture": hashlib.sha256(image).hexdigest()}, indent=1).encode()


def _code(*functions: Callable[..., Any]) -> list[str]:
    """The versions of the code that draws: of the table's picture, and of ``draw``."""
    return [code_digest(Path(str(inspect.getsourcefile(function)))) for function in functions]
