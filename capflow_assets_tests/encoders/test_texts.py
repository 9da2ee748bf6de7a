from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from capflow_assets.encoders.texts import Params, demand, vectors_of
from capflow_assets.errors import SourceError, TableError


def vectors(*texts: str | None, **params: object) -> list[list[float]]:
    _, encoded = vectors_of(texts, Params.model_validate(params))
    return [vector.tolist() for vector in encoded]


def test_words_have_two_letters_and_no_digits() -> None:
    words, _ = vectors_of(["Grüner Tee, 100 g", "TEE", "漢字", "a 1 --", "", None], Params())
    assert words.tolist() == [2, 1, 1, 0, 0, 0]


def test_alike_texts_lie_close_and_those_without_words_at_the_origin() -> None:
    green, black, jam, nothing = map(np.array, vectors("green tea", "black tea", "plum jam", "12", dimensions=8))
    assert green @ green == pytest.approx(1, abs=1e-5)
    assert green @ black > 0.3 > abs(green @ jam)
    assert not nothing.any()


def test_fewer_independent_texts_than_dimensions_leave_zeros() -> None:
    assert vectors("tea", None, dimensions=2) == [[1.0, 0.0], [0.0, 0.0]]
    assert vectors(dimensions=3) == []


def test_words_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("tea 3 4\njam 0 1\nother 1 1\n", encoding="utf-8")
    # Only "tea" of the first text is in the file, so it is 3/5, 4/5, whatever its weight.
    assert vectors("green tea", "plum jam", "12", encoder="glove", path=str(file)) == [[0.6, 0.8], [0.0, 1.0], [0, 0]]


@pytest.mark.parametrize("lines", ["tea 3 4\njam 1\n", ""])
def test_a_file_without_vectors_is_refused(tmp_path: Path, lines: str) -> None:
    (tmp_path / "glove.txt").write_text(lines)
    with pytest.raises(SourceError, match="This is no GloVe file"):
        vectors("tea jam", encoder="glove", path=str(tmp_path / "glove.txt"))


def test_an_encoder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="path is missing"):
        Params(encoder="glove")
    with pytest.raises(SourceError, match="There is no encoder"):
        demand(Params(encoder="glove", path=str(tmp_path / "none.txt")), "text")
    with pytest.raises(SourceError, match="read from a disk"):
        demand(Params(encoder="glove", path="some/model"), "text")
    demand(Params(), "text")


def test_a_sentence_encoder_needs_its_library(tmp_path: Path) -> None:
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        with pytest.raises(TableError, match="sentence-transformers"):
            demand(Params(encoder="sentence", path=str(tmp_path)), "text")
