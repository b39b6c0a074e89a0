"""What is a head in HU, and what is not."""

import numpy as np
import pytest

from infarct.errors import NotHeadCT
from infarct.readers.plausibility import air_flags, head_flags
from infarct.types import Float32Array
from infarct.volume import Geometry

SHAPE = (12, 128, 128)


def grid(pixel_mm: float = 2.0) -> Geometry:
    return Geometry.regular(SHAPE, (5.0, pixel_mm, pixel_mm))


def radius(short: float, long: float, pixel_mm: float = 2.0) -> Float32Array:
    y, x = np.meshgrid(*(np.arange(128) - 63.5,) * 2, indexing="ij")
    return np.hypot(x * pixel_mm / short, y * pixel_mm / long).astype(np.float32)


def body(layers: list[tuple[float, float]], short: float = 75, long: float = 95) -> Float32Array:
    """Return nested ellipses: (relative radius, HU), the outermost first, in air with noise."""
    hu = np.full(SHAPE[1:], -1000.0)
    for size, value in layers:
        hu[radius(short, long) < size] = value
    noise = np.random.Generator(np.random.Philox(0)).normal(0, 3, SHAPE)
    return (hu + noise).astype(np.float32)


HEAD = [(1.0, 30.0), (0.96, 1000.0), (0.88, 35.0), (0.3, 8.0)]


def test_a_head_is_accepted_without_flags() -> None:
    assert head_flags(body(HEAD), grid()) == []


def test_an_infant_and_a_large_head_are_accepted() -> None:
    for short, long in ((52, 60), (90, 122)):
        assert head_flags(body(HEAD, short, long), grid()) == []


def test_half_a_skull_missing_is_accepted() -> None:
    hu = body(HEAD)
    left = hu[:, :, 64:]
    left[left > 500] = 30
    assert head_flags(hu, grid()) == []


def test_a_head_rest_and_a_table_are_no_part_of_the_head() -> None:
    hu = body(HEAD)
    hu[:, 122:124] = 200
    hu[:, 111:122, 62:65] = 100
    assert head_flags(hu, grid()) == []


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ([(1.0, 0.0)], (90, 90)),
        ([(1.0, 35.0)], (20, 20)),
        ([(1.0, 30.0), (0.85, 50.0), (0.7, -800.0), (0.2, 40.0)], (120, 95)),
        ([(1.0, -100.0), (0.9, 50.0), (0.15, 400.0)], (120, 95)),
        ([(1.0, 120.0)], (90, 90)),
        ([(1.0, 1000.0)], (75, 95)),
    ],
    ids=["water", "small thing", "chest", "belly", "plastic", "solid bone"],
)
def test_other_things_are_refused(layers: list[tuple[float, float]], size: tuple[float, float]) -> None:
    with pytest.raises(NotHeadCT) as caught:
        head_flags(body(layers, *size), grid())
    assert "\n" not in str(caught.value)


def test_a_body_wider_than_a_head_is_refused() -> None:
    with pytest.raises(NotHeadCT, match="too large"):
        head_flags(body(HEAD, 125, 95), grid(2.2))


def test_stored_numbers_are_refused() -> None:
    with pytest.raises(NotHeadCT, match=r"no head in HU|not Hounsfield"):
        head_flags(np.maximum(body(HEAD) + 1024, 0), grid())


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(NotHeadCT, match="no image"):
        head_flags(np.full(SHAPE, -1000, dtype=np.float32), grid())


def test_values_beyond_the_scale_are_flagged() -> None:
    hu = body(HEAD)
    hu[4, 60:62, 60:62] = 8000
    assert [flag.code for flag in head_flags(hu, grid())] == ["hu_implausible"]


def test_air_off_by_a_fifth_is_flagged_and_padding_is_not() -> None:
    hu = body(HEAD)
    assert air_flags(hu) == []
    assert [flag.code for flag in air_flags(hu * 1.2)] == ["hu_offset_suspected"]
    hu[:, :20] = -2000
    assert air_flags(hu) == []
