"""Pictures for people: a figure becomes a small PNG, and a PNG becomes markdown that Dagster's page shows."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Metadata lives in the event log, once per materialization, so pictures are kept small.
LARGEST_BYTES = 40_000


def png(figure: Figure) -> bytes:
    """The figure as PNG of at most 40 kB: the resolution gives way until it fits."""
    content = b""
    for dpi in (100, 80, 64, 50, 40):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
        content = _fewer_colours(buffer.getvalue())
        if len(content) <= LARGEST_BYTES:
            break
    return content


def _fewer_colours(content: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(64).save(buffer, format="png", optimize=True)
    return min(content, buffer.getvalue(), key=len)


def markdown(content: bytes, title: str) -> str:
    """Markdown that carries the picture itself."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})"
