from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from capflow_assets.encoders.texts import Encoded, Params, demand, encoded
from capflow_assets.errors import SourceError, TableError

TEXTS = ("green tea", "black tea", "plum jam", "plum plum jam", "12")


def encoding_of(*texts: str | None, **params: object) -> Encoded:
    return encoded(texts, Params.model_validate(params))


def vectors(*texts: str | None, **params: object) -> list[list[float]]:
    return [vector.tolist() for vector in encoding_of(*texts, **params).vectors]


def test_words_have_two_letters_and_no_digits() -> None:
    words = encoding_of("Grüner Tee, 100 g", "TEE", "漢字", "a 1 --", "", None).words
    assert words.tolist() == [2, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("params", [{}, {"encoder": "tfidf", "dimensions": 8}])
def test_alike_texts_lie_close_and_those_without_words_at_the_origin(params: dict[str, object]) -> None:
    green, black, jam, nothing = map(np.array, vectors("green tea", "black tea", "plum jam", "12", **params))
    assert green @ green == pytest.approx(1, abs=1e-5)
    assert green @ black > 0.3 > abs(green @ jam)
    assert not nothing.any()


def test_fewer_independent_texts_than_dimensions_leave_zeros() -> None:
    assert vectors("tea", None, encoder="tfidf", dimensions=2) == [[1.0, 0.0], [0.0, 0.0]]
    assert vectors(encoder="tfidf", dimensions=3) == []
    assert vectors(dimensions=3) == []


def test_a_fixed_encoder_makes_the_same_vector_of_a_text_whatever_the_others_are() -> None:
    together = encoding_of(*TEXTS)
    for place, text in enumerate(TEXTS):
        alone = encoding_of("plum wine", text)
        assert alone.encoder == together.encoder == "hashed/1/128/0"
        assert alone.vectors[1].tolist() == together.vectors[place].tolist()


def test_spellings_of_one_text_are_one_vector() -> None:
    plain, full_width, loud = vectors("green tea", "ｇｒｅｅｎ tea!", "GREEN  Tea 100")
    assert plain == full_width == loud


def test_what_was_learned_from_other_texts_is_another_encoder() -> None:
    learned = encoding_of(*TEXTS, encoder="tfidf")
    again = encoding_of(*TEXTS, encoder="tfidf")
    assert (again.encoder, again.vectors.tolist()) == (learned.encoder, learned.vectors.tolist())
    others = (
        encoding_of(*TEXTS[:-1], "fig jam", encoder="tfidf"),
        encoding_of(*TEXTS, encoder="tfidf", seed=1),
        encoding_of(*TEXTS, encoder="tfidf", dimensions=8),
    )
    assert len({learned.encoder, *(other.encoder for other in others)}) == 4


@pytest.mark.parametrize("params", [{"dimensions": 64}, {"seed": 1}])
def test_other_parameters_are_another_encoder(params: dict[str, object]) -> None:
    assert encoding_of("tea", **params).encoder != encoding_of("tea").encoder


def test_words_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("tea 3 4\njam 0 1\nother 1 1\n", encoding="utf-8")
    # Only "tea" of the first text is in the file, so it is 3/5, 4/5, whatever its weight.
    assert vectors("green tea", "plum jam", "12", encoder="glove", path=str(file)) == [[0.6, 0.8], [0.0, 1.0], [0, 0]]


def test_words_that_are_frequent_by_their_rank_in_the_file_weigh_less(tmp_path: Path) -> None:
    """By hand: a / (a + p) with a = 0.001 and p = 1 / (16 rank), twice a word is 1 + ln 2."""
    file = tmp_path / "glove.txt"
    file.write_text("the 1 0\n" + "filler 0 0\n" * 998 + "tea 0 1\n", encoding="utf-8")
    the, tea = 0.001 / (0.001 + 1 / 16) * (1 + np.log(2)), 0.001 / (0.001 + 1 / 16_000)
    length = np.hypot(the, tea)
    ((first, second),) = vectors("the the tea", encoder="glove", path=str(file))
    assert (first, second) == (pytest.approx(the / length, abs=1e-6), pytest.approx(tea / length, abs=1e-6))


def test_another_file_is_another_encoder(tmp_path: Path) -> None:
    file, other = tmp_path / "glove.txt", tmp_path / "other.txt"
    file.write_text("tea 3 4\n")
    other.write_text("tea 3 4\nunused 1 1\n")
    params = {"encoder": "glove", "path": str(file)}
    assert encoding_of("tea", **params).encoder == encoding_of("jam", **params).encoder
    assert encoding_of("tea", **params | {"path": str(other)}).encoder != encoding_of("tea", **params).encoder


NO_NUMBERS = {"a word": b"tea 3 four\n", "no number": b"tea nan 4\n", "no text": b"\x00PK \xff\xfe", "nothing": b""}


@pytest.mark.parametrize("lines", [b"tea 3 4\njam 1\n", *NO_NUMBERS.values()], ids=["short line", *NO_NUMBERS])
def test_a_file_without_vectors_is_refused(tmp_path: Path, lines: bytes) -> None:
    (tmp_path / "glove.txt").write_bytes(lines)
    with pytest.raises(SourceError, match="This is no GloVe file"):
        vectors("tea jam pk", encoder="glove", path=str(tmp_path / "glove.txt"))


@pytest.mark.parametrize("lines", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_file_that_does_not_begin_as_one_of_vectors_is_refused_before_any_worker_starts(
    tmp_path: Path, lines: bytes
) -> None:
    (tmp_path / "glove.txt").write_bytes(lines)
    with pytest.raises(SourceError, match="This is no GloVe file"):
        demand(Params(encoder="glove", path=str(tmp_path / "glove.txt")), "text")


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
