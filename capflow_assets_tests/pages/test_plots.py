"""Pictures draw what customers call things, whatever letters and signs that holds."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from capflow_assets.pages.plots import png


@pytest.mark.parametrize("name", ["$_$", "a$^$b", r"$\gift$", "gifts from $5_ to $10^", "牛奶 🥛"])
def test_a_name_is_drawn_as_it_is(name: str) -> None:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.bar([0, 1], [1, 2], label=name)
    axes.set_xticks([0, 1], [name, name])
    axes.set_title(name)
    axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(figure).startswith(b"\x89PNG")


def test_a_logarithmic_scale_keeps_its_powers() -> None:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.loglog([1, 1000], [1, 1000])
    png(figure)
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    assert labels
    assert all(label.get_parse_math() for label in labels)


@pytest.mark.parametrize(("largest", "is_moved"), [(9.0, False), (3e7, True)])
def test_a_title_stands_above_what_all_numbers_of_an_axis_have_in_common(largest: float, is_moved: bool) -> None:
    """Matplotlib writes ``1e7`` above the axis, where the title would stand."""
    figure = Figure(figsize=(2, 2), layout="constrained")
    axes = figure.subplots()
    axes.bar([0, 1], [1, largest])
    axes.set_title("spent by all who came in May")
    png(figure)
    assert (axes.title.get_position()[1] > 1) == is_moved


def test_a_picture_is_the_same_to_the_dot_as_where_matplotlib_looks_for_each_title_s_place() -> None:
    def drawn(numbers: tuple[float, ...]) -> Figure:
        figure = Figure(figsize=(7, 4), layout="constrained")
        for place, number in enumerate(numbers, start=1):
            axes = figure.add_subplot(1, len(numbers), place)
            axes.bar([0, 1], [1, number])
            axes.set_title("what users\nspend", loc="left", fontsize=9)
        return figure

    buffers = [io.BytesIO(), io.BytesIO()]
    png(kept := drawn((9, 90_000)))
    for figure, buffer in zip((kept, drawn((9, 90_000))), buffers, strict=True):
        figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    assert buffers[0].getvalue() == buffers[1].getvalue()


def test_what_reaches_beyond_the_edge_is_in_the_picture() -> None:
    """As ``bbox_inches="tight"`` has it, for which matplotlib draws all of it twice."""

    def drawn() -> Figure:
        figure = Figure(figsize=(2, 2), dpi=80, layout="constrained")
        axes = figure.subplots()
        axes.bar([0, 1], [1, 2])
        axes.set_title("a title that is wider than the whole figure")
        return figure

    expected = io.BytesIO()
    drawn().savefig(expected, format="png", dpi=100, bbox_inches="tight")
    ours, theirs = (
        np.asarray(Image.open(file).convert("L"), dtype=float) for file in (io.BytesIO(png(drawn())), expected)
    )
    assert ours.shape == theirs.shape
    assert ours.shape[1] > 200
    assert abs(ours - theirs).mean() < 1
