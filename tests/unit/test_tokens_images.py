"""The size of an image is read from its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata_grpc.domain.images import image_size
from tests.unit.pictures import gif, jpeg, png, webp_extended, webp_lossless, webp_lossy

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS = [png, gif, jpeg, webp_lossy, webp_lossless, webp_extended]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (16_383, 3)])
def test_size_of(make: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    assert image_size(make(*size)) == size


def test_jpeg_after_much_metadata() -> None:
    assert image_size(jpeg(800, 600, metadata=65_535)) == (800, 600)


@pytest.mark.parametrize("make", [png, gif, jpeg])
def test_an_image_without_extent_has_no_size(make: Callable[[int, int], bytes]) -> None:
    assert image_size(make(0, 7)) is None


@pytest.mark.parametrize("make", MAKERS)
def test_a_cut_header_has_no_size_or_the_right_one(make: Callable[[int, int], bytes]) -> None:
    data = make(640, 480)
    for end in range(len(data)):
        assert image_size(data[:end]) in {None, (640, 480)}


@given(st.sampled_from([b"", *(make(640, 480)[:12] for make in MAKERS)]), st.binary(max_size=200))
def test_no_bytes_break_it(start: bytes, rest: bytes) -> None:
    size = image_size(start + rest)
    assert size is None or min(size) >= 1
