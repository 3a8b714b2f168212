"""Image files of any size, with a header that names it and no more of a picture than that."""

from __future__ import annotations


def png(width: int, height: int, padding: int = 0) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + header + bytes(padding)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(3)


def jpeg(width: int, height: int, metadata: int = 0) -> bytes:
    """Puts `metadata` bytes, the two of their length among them, before the frame."""
    segment = b"\xff\xe1" + metadata.to_bytes(2, "big") + bytes(metadata - 2) if metadata else b""
    frame = b"\xff\xc2\x00\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes(10)
    return b"\xff\xd8" + (segment or b"\xff\xe0\x00\x02") + b"\xff\xff\xd0" + frame


def webp_lossy(width: int, height: int) -> bytes:
    sizes = (width | 1 << 14).to_bytes(2, "little") + height.to_bytes(2, "little")
    return _webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + sizes)


def webp_lossless(width: int, height: int) -> bytes:
    return _webp(b"VP8L", b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little"))


def webp_extended(width: int, height: int) -> bytes:
    return _webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def _webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + len(body).to_bytes(4, "little") + body + bytes(8)
