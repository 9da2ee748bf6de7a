"""Pictures for people: a figure becomes a small PNG, and a PNG becomes markdown that Dagster's page shows."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Nobody sees the first encoding, which is decoded for its colours: packed little it takes half the time.
PACKED_LITTLE = {"compress_level": 1}
# Metadata lives in the event log, once per materialization, so pictures are kept small.
LARGEST_BYTES = 40_000


def png(figure: Figure) -> bytes:
    """The figure as PNG of at most 40 kB: the resolution gives way until it fits.

    Texts are drawn as they are: names of a customer's may hold dollar signs, and letters that the font lacks.
    """
    _draw_texts_as_they_are(figure)
    _leave_titles(figure)
    content = b""
    for dpi in (100, 80, 64, 50, 40):
        content = _fewer_colours(_drawn(figure, dpi))
        if len(content) <= LARGEST_BYTES:
            break
    return content


def _drawn(figure: Figure, dpi: int) -> bytes:
    """The figure with all that reaches beyond its edge, to the dot as ``bbox_inches="tight"`` gives it.

    Matplotlib draws the whole figure once only to learn where its parts are. Laying them out says that as well.
    """
    from matplotlib import rcParams

    buffer = io.BytesIO()
    layout, before = figure.get_layout_engine(), figure.dpi
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        if layout is None:
            figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pil_kwargs=PACKED_LITTLE)
            return buffer.getvalue()
        try:
            figure.dpi = dpi
            layout.execute(figure)
            figure.set_layout_engine(None)  # laid out already: with an engine matplotlib draws twice
            edges = figure.get_tightbbox().padded(rcParams["savefig.pad_inches"])
            figure.savefig(buffer, format="png", dpi=dpi, bbox_inches=edges, pil_kwargs=PACKED_LITTLE)
        finally:
            figure.set_layout_engine(layout)
            figure.dpi = before
    return buffer.getvalue()


def _draw_texts_as_they_are(figure: Figure) -> None:
    """Between dollar signs matplotlib reads formulas, and refuses those that are none; logarithmic scales have some."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                for label in axis.get_ticklabels(which="both"):
                    label.set_parse_math(True)


def _leave_titles(figure: Figure) -> None:
    """Keep matplotlib from looking several times for what a title might meet, where there is nothing: a fifth faster.

    It may meet labels above the axes, and what all numbers of an axis have in common, such as ``1e6``.
    """
    if all(_has_free_top(axes) for axes in figure.axes):
        for axes in figure.axes:
            axes._autotitlepos = False  # type: ignore[attr-defined]  # no public way leaves the title as it is


def _has_free_top(axes: Axes) -> bool:
    low, high = axes.get_ylim()
    has_plain_numbers = min(low, high) <= 0 <= max(low, high) and 1e-3 <= max(abs(low), abs(high)) < 1e5
    is_labelled_below = axes.xaxis.get_ticks_position() == axes.xaxis.get_label_position() == "bottom"
    return has_plain_numbers and is_labelled_below and not axes.child_axes


def _fewer_colours(content: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(64).save(buffer, format="png", optimize=True)
    return min(content, buffer.getvalue(), key=len)


def markdown(content: bytes, title: str) -> str:
    """Markdown that carries the picture itself."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})"
