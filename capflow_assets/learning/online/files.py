"""The file of a version that answers online: a recipe of plain values, and the graphs that it names by number."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from capflow_assets.errors import BrokenModelError

NAME = "online.zip"
RECIPE = "recipe.json"
# Of what is written here; a server reads no other.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class OnlineModel:
    """``recipe`` says how an answer is reckoned: ``kind`` and what that kind needs. ``graphs`` are ONNX files.

    A recipe of the kind ``code`` has no graphs: the estimator must be asked itself, and ``why`` says why.
    """

    recipe: dict[str, Any]
    graphs: tuple[bytes, ...] = ()

    def packed(self) -> bytes:
        """The file; the same bytes for the same content."""
        file = io.BytesIO()
        with ZipFile(file, "w") as packed:
            packed.writestr(ZipInfo(RECIPE), json.dumps({"format": FORMAT, **self.recipe}))
            for place, graph in enumerate(self.graphs):
                packed.writestr(ZipInfo(f"{place}.onnx"), graph)
        return file.getvalue()


def unpacked(content: bytes) -> OnlineModel:
    """The content of a file.

    Raises:
        BrokenModelError: it is damaged, or of another format than this release writes.

    >>> unpacked(OnlineModel({"kind": "code", "why": "lists that are fused"}).packed()).recipe["why"]
    'lists that are fused'
    """
    try:
        with ZipFile(io.BytesIO(content)) as packed:
            recipe = json.loads(packed.read(RECIPE))
            graphs = tuple(packed.read(f"{place}.onnx") for place in range(len(packed.namelist()) - 1))
            written = recipe.pop("format")
    except (BadZipFile, KeyError, ValueError, AttributeError, TypeError) as error:
        received = f"{type(error).__name__}: {error}"
        raise BrokenModelError("The file that answers online is damaged", came=received) from None
    if written != FORMAT:
        raise BrokenModelError(
            "The file that answers online is of another release", expected=f"format {FORMAT}", came=f"format {written}"
        )
    return OnlineModel(recipe, graphs)
