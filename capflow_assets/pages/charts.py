"""Small pictures for pages: columns by month as inline SVG, which takes its colours from the page around it.

Belongs here: shapes. Does not belong here: which figures are drawn, and their words (``pages.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 240, 110
LEFT, RIGHT, TOP, BOTTOM = 36, 2, 8, 18


class Bar(NamedTuple):
    """One month: its value and what was usual (None: unknown), its words, and whether it is whole."""

    label: str
    value: float | None
    usual: float | None
    words: str
    is_whole: bool


def columns(bars: Sequence[Bar], words: str, edges: tuple[str, str, str]) -> Markup:
    """Columns by month with the usual value as a dashed line.

    ``words`` say what is seen to who cannot see it; ``edges`` are the written values of top, zero and bottom (empty
    where all is above zero).
    """
    from markupsafe import Markup

    low, high = span(bars)
    scale = _Scale(low, high, len(bars))
    shapes = [Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(*scale.rule(0))]
    shapes += [_column(scale, place, bar) for place, bar in enumerate(bars) if bar.value is not None]
    shapes += [_usual(scale, bars)]
    for value, text in zip((high, 0.0, low), edges, strict=True):
        if text:
            shapes.append(_text(LEFT - 5, scale.y(value) + 3.5, text, "end"))
    for place in sorted({0, (len(bars) - 1) // 2, len(bars) - 1} if bars else set()):
        anchor = "start" if place == 0 else "end" if place == len(bars) - 1 else "middle"
        at = {"start": scale.x(place), "middle": scale.x(place) + scale.step / 2, "end": WIDTH - RIGHT}[anchor]
        shapes.append(_text(at, HEIGHT - 4, bars[place].label, anchor))
    frame = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(WIDTH, HEIGHT, words, Markup("").join(shapes))


def span(bars: Sequence[Bar]) -> tuple[float, float]:
    """The least and the greatest value that a picture of the bars must hold; zero always is in between.

    >>> span([Bar("a", 5.0, 7.0, "", True), Bar("b", None, None, "", True)])
    (0.0, 7.0)
    """
    values = [value for bar in bars for value in (bar.value, bar.usual) if value is not None]
    return min([0.0, *values]), max([0.0, *values])


class _Scale:
    """Where values and months lie in the picture."""

    def __init__(self, low: float, high: float, months: int) -> None:
        self.low, self.height = low, (high - low) or 1.0
        self.step = (WIDTH - LEFT - RIGHT) / max(months, 1)

    def x(self, place: float) -> float:
        return round(LEFT + place * self.step, 1)

    def y(self, value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / self.height), 1)

    def rule(self, value: float) -> tuple[float, float, float, float]:
        return LEFT, WIDTH - RIGHT, self.y(value), self.y(value)


def _column(scale: _Scale, place: int, bar: Bar) -> Markup:
    from markupsafe import Markup

    zero, top = scale.y(0), scale.y(bar.value or 0.0)
    shape = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    kind = "whole" if bar.is_whole else "part"
    width = round(scale.step * 0.8, 1)
    return shape.format(kind, scale.x(place + 0.1), min(zero, top), width, round(abs(zero - top), 1), bar.words)


def _usual(scale: _Scale, bars: Sequence[Bar]) -> Markup:
    from markupsafe import Markup

    points = [f"{scale.x(n + 0.5)},{scale.y(bar.usual)}" for n, bar in enumerate(bars) if bar.usual is not None]
    return Markup('<polyline class="usual" points="{}"/>').format(" ".join(points))


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    from markupsafe import Markup

    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, round(y, 1), anchor, text)
