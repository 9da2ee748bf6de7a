"""How BSON becomes plain Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from capflow_assets.sources.reading.shapes import Unfit

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions


def codec() -> CodecOptions[dict[str, Any]]:
    """How BSON becomes plain Python values: times in UTC, ids as text, numbers exact."""
    from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, ObjectId, Regex, Timestamp
    from bson.binary import UuidRepresentation
    from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry

    def decoder(kind: type, make: Any) -> TypeDecoder:
        kind_decoder = type(
            "Decoder", (TypeDecoder,), {"bson_type": kind, "transform_bson": lambda _, value: make(value)}
        )
        return kind_decoder()

    plain = {
        ObjectId: str,
        Decimal128: lambda value: value.to_decimal(),
        Timestamp: lambda value: value.as_datetime(),
        Regex: lambda value: str(value.pattern),
        DBRef: lambda value: str(value.id),
        Code: str,
        Binary: bytes,
        UUID: str,
        # Arrow would take its milliseconds for microseconds.
        DatetimeMS: lambda value: Unfit(f"{int(value)} ms"),
    }
    return CodecOptions(
        tz_aware=True,
        uuid_representation=UuidRepresentation.STANDARD,
        unicode_decode_error_handler="surrogateescape",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        type_registry=TypeRegistry([decoder(kind, make) for kind, make in plain.items()]),
    )
