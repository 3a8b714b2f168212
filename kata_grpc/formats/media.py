"""Bytes inside JSON: base64 and data URIs, taken apart only where they can be put together again identically."""

from __future__ import annotations

import base64
import binascii
import re

from kata_grpc.domain.messages import Media

DATA_URI = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


def bytes_of(text: str) -> bytes | None:
    """Return the bytes of canonical base64, or None where encoding them again would give another text."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if text_of(data) == text else None


def text_of(data: bytes) -> str:
    """Return `data` as canonical base64."""
    return base64.b64encode(data).decode("ascii")


def media_of_url(url: str) -> Media:
    """Return the bytes of a canonical data URI, or the reference as it came."""
    found = DATA_URI.fullmatch(url)
    data = bytes_of(found[2]) if found else None
    return Media(url=url) if found is None or data is None else Media(data=data, media_type=found[1])


def url_of(data: bytes, media_type: str) -> str:
    """Return the data URI of `data`."""
    return f"data:{media_type};base64,{text_of(data)}"
