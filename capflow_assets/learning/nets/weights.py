"""The weights of a net as bytes (safetensors: names, shapes and numbers, nothing that runs), and back."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from capflow_assets.errors import BrokenModelError

N = TypeVar("N", bound=nn.Module)


def weights_of(net: nn.Module) -> bytes:
    """All parameters and buffers of the net, wherever it is."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()})


def with_weights(net: N, weights: bytes) -> N:
    """The net with these weights, ready to answer.

    Raises:
        BrokenModelError: they are damaged, or of another net.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        net.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise BrokenModelError(
            "The weights of a net cannot be loaded",
            expected=f"those of a {type(net).__name__}",
            came=str(error).splitlines()[0],
        ) from None
    return net.eval()


def snapshot(net: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the net's weights where the net is."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
