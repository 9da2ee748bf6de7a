"""A net as ONNX, so that it answers without torch."""

from __future__ import annotations

import warnings

import torch
from torch import nn


def onnx_of(net: nn.Module, example: tuple[torch.Tensor, ...], inputs: tuple[str, ...], output: str) -> bytes:
    """The net as an ONNX file; the first axis of every input and of the output, its rows, is free.

    ``example`` is one batch, of at least two rows, that shows types and shapes.
    """
    rows = torch.export.Dim("rows", min=1)
    shapes = tuple({0: rows} for _ in example)
    with warnings.catch_warnings():
        # Of the exporter's own insides.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval(),
            example,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101  (dynamo gives one)
    return bytes(program.model_proto.SerializeToString())
