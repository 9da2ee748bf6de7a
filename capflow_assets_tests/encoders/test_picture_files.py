"""A net of the customer's own over pictures: what it gives is the vector, and what is no such net is refused."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from capflow_assets.encoders.pictures import Params, demand, encoded, version
from capflow_assets.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

TENSOR_FLOAT = 1


def net(rows: int | str = "rows", side: int | str = 32, channels: int = 3, last: str = "GlobalAveragePool") -> bytes:
    """An ONNX file whose vector of a picture is the mean of each colour, or what ``last`` makes of its pixels."""
    from onnx import helper

    shapes = [("pixels", [rows, channels, side, side]), ("vectors", None)]
    values = [helper.make_tensor_value_info(name, TENSOR_FLOAT, shape) for name, shape in shapes]
    graph = helper.make_graph([helper.make_node(last, ["pixels"], ["vectors"])], "net", values[:1], values[1:])
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return content


def saved(folder: Path, content: bytes) -> Params:
    file = folder / "net.onnx"
    file.write_bytes(content)
    return Params(encoder="onnx", path=str(file), batch=2)


def picture(*colour: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("sizes", [{}, {"rows": 1}, {"side": "side"}], ids=["many rows", "one row", "any side"])
def test_a_vector_is_what_the_net_gives_of_a_picture_as_torchvision_shows_it(
    tmp_path: Path, sizes: dict[str, Any]
) -> None:
    params = saved(tmp_path, net(**sizes))
    demand(params)
    encoding = encoded([picture(255, 0, 51), b"no picture", *[picture(0, 0, 0)] * 2], params)
    # (1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225, to length 1.
    assert encoding.vectors[0] == pytest.approx(np.array([2.249, -2.036, -0.916]) / 3.169, abs=1e-3)
    assert not encoding.vectors[1].any()
    assert encoding.reasons[1].startswith("cannot be decoded")
    np.testing.assert_array_equal(encoding.vectors[2], encoding.vectors[3])
    assert encoding.encoder == version(params)
    assert encoded([], params).vectors.shape == (0, 3)


def test_another_file_is_another_encoder(tmp_path: Path) -> None:
    first = version(saved(tmp_path, net()))
    assert version(saved(tmp_path, net(side=64))) != first
    assert version(saved(tmp_path, net())) == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "cannot be read"),
        (net()[:-20], "cannot be read"),
        (net(channels=4), "inputs of shape"),
        (net(last="Log"), "numbers that are none"),
    ],
    ids=["text", "cut off", "other inputs", "logarithms of what is below 0"],
)
def test_what_is_no_net_over_pictures_is_refused_before_any_worker_starts(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        demand(saved(tmp_path, content))


def test_a_file_that_is_missing_or_not_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no encoder"):
        demand(Params(encoder="onnx", path=str(tmp_path / "none.onnx")))
    with pytest.raises(SourceError, match="a path that every worker has"):
        demand(Params(encoder="onnx", path="net.onnx"))
    with pytest.raises(ValidationError, match="path is missing"):
        Params(encoder="onnx")
