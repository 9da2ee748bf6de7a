"""Pictures as vectors: which are alike, and what becomes of files that are no usable pictures."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from capflow_assets.encoders.pictures import SIDE, Params, decoded, described, encoded

SIZE = (120, 80)


def drawn(colour: str, shape: str = "disc", at: int = 20) -> Image.Image:
    picture = Image.new("RGB", SIZE, "white")
    pen, box = ImageDraw.Draw(picture), (at, 15, at + 50, 65)
    pen.ellipse(box, colour) if shape == "disc" else pen.rectangle(box, colour)
    return picture


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    picture = decoded(content)
    assert picture.pixels is not None, picture.reason
    assert picture.pixels.shape == (SIDE, SIDE, 3)
    return picture.pixels


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that says that it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_usual_formats_show_the_same(kind: str) -> None:
    assert np.abs(pixels(file_of(drawn("red"), kind)).astype(float) - pixels(file_of(drawn("red")))).mean() < 6


def test_a_picture_is_turned_as_its_camera_says() -> None:
    sideways = drawn("red").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = pixels(file_of(sideways, "PNG", exif=exif))
    np.testing.assert_array_equal(turned, pixels(file_of(drawn("red"))))


def test_inks_greys_palettes_and_what_is_clear_are_shown_as_people_see_them() -> None:
    np.testing.assert_allclose(pixels(file_of(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "TIFF"))[0, 0], [255, 0, 0])
    deep = Image.fromarray(np.linspace(0, 65_535, 80 * 120).reshape(80, 120).astype("uint16"))
    assert pixels(file_of(deep))[[0, -1], [0, -1]].mean(axis=1) == pytest.approx([0, 255], abs=3)
    assert pixels(file_of(Image.new("RGBA", SIZE, (255, 0, 0, 0)))).min() == 255
    assert (pixels(file_of(drawn("blue").convert("P")))[112, 90] == [0, 0, 255]).all()


def test_of_moving_pictures_the_first_counts() -> None:
    moving = file_of(drawn("red"), "GIF", save_all=True, append_images=[drawn("blue"), drawn("green")])
    np.testing.assert_array_equal(pixels(moving), pixels(file_of(drawn("red"), "GIF")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be decoded: UnidentifiedImageError"),
        (b"a text that is called a picture", "cannot be decoded: UnidentifiedImageError"),
        (file_of(drawn("red"))[:200], "cannot be decoded: OSError"),
        (file_of(drawn("red"), "JPEG")[:300], "cannot be decoded: OSError"),
        (file_of(Image.new("RGB", (1, 1))), "is 1 by 1 pixels"),
        (file_of(Image.new("RGB", (500, 2))), "is 500 by 2 pixels"),
        (bomb(9_000, 9_000), "has more than 64,000,000 pixels"),
        (bomb(10_000, 9_500), "has more than 64,000,000 pixels"),
        (bomb(100_000, 100_000), "has more than 64,000,000 pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be decoded: UnidentifiedImageError"),
    ],
)
def test_what_cannot_be_used_is_set_aside_and_the_others_go_on(content: bytes, reason: str) -> None:
    encoding = encoded([file_of(drawn("red")), content, file_of(drawn("blue"))], Params())
    assert encoding.reasons == ["", reason, ""]
    assert not encoding.vectors[1].any()
    assert np.linalg.norm(encoding.vectors, axis=1) == pytest.approx([1, 0, 1], abs=1e-4)


def test_descriptors_tell_colours_and_shapes_apart_wherever_they_stand() -> None:
    red, moved, blue, square = (
        described(pixels(file_of(picture)))
        for picture in (drawn("red"), drawn("red", at=26), drawn("blue"), drawn("red", "square"))
    )
    assert red @ moved > max(red @ blue, red @ square) + 0.02


def test_a_vector_follows_from_its_picture_alone() -> None:
    one, other = file_of(drawn("red")), file_of(drawn("blue"))
    np.testing.assert_array_equal(encoded([one, other], Params()).vectors[0], encoded([one], Params()).vectors[0])
    assert encoded([], Params()).vectors.shape == (0, 160)


def test_the_net_has_eyes_of_its_own() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    params = Params(encoder="efficientnet", batch=2)
    pictures = [file_of(picture) for picture in (drawn("orange"), drawn("orange", at=24), drawn("navy", "square"))]
    encoding = encoded([*pictures, b"nothing"], params)
    assert encoding.encoder == "efficientnet-lite0/c28fcf2579daa481"
    assert encoding.vectors.shape == (4, 1280)
    assert encoding.vectors[0] @ encoding.vectors[1] > encoding.vectors[0] @ encoding.vectors[2]
    np.testing.assert_allclose(encoded(pictures[:1], params).vectors[0], encoding.vectors[0], atol=1e-4)
