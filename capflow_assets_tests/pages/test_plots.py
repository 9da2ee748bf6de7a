"""Pictures draw what customers call things, whatever letters and signs that holds."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.figure import Figure

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
