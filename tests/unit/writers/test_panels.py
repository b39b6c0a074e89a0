import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from infarct.types import Float32Array
from infarct.volume import Geometry, Scan
from infarct.writers.panels import (
    ATTENTION_SCALE,
    BRAIN_WINDOW,
    DIFFERENCE_SCALE,
    STROKE_WINDOW,
    Field,
    LineStyle,
    Outline,
    Overlay,
    Panel,
    RgbArray,
    draw_panel,
    head_field,
    png,
)

ORANGE = LineStyle("#ff7a2e", 3.0)


def slice_hu(rows: int = 100, columns: int = 80, fill: float = 40.0) -> Float32Array:
    return np.full((rows, columns), fill, dtype=np.float32)


def panel_of(hu: Float32Array, spacing_mm_yx: tuple[float, float] = (2.0, 2.0), **changes: object) -> Panel:
    return replace(Panel(hu, spacing_mm_yx, Field(0, hu.shape[0], 0, hu.shape[1])), **changes)  # type: ignore[arg-type]


def coloured(picture: RgbArray) -> RgbArray:
    """Return (row, column) of the pixels that are not grey."""
    return np.argwhere(np.ptp(picture.astype(int), axis=2) > 60)


def test_the_patients_left_is_in_the_right_half() -> None:
    # A marker at a place given in LPS mm: +50 mm is the patient's left, -30 mm is anterior.
    geometry = Geometry.regular((3, 100, 80), (5.0, 2.0, 2.0), origin_mm=(-80.0, -100.0, 0.0))
    z, y, x = np.round(geometry.world_to_index((50.0, -30.0, 5.0))).astype(int)
    hu = np.full(geometry.shape_zyx, 5.0, dtype=np.float32)
    hu[z, y - 4 : y + 5, x - 4 : x + 5] = 300.0
    scan = Scan(hu, geometry)
    picture = draw_panel(panel_of(scan.hu[z])).mean(axis=2)
    height, width = picture.shape
    bright = picture > 250
    bright[:, : width // 10] = bright[:, -width // 10 :] = False  # R, L and the corners
    bright[: height // 10] = bright[-height // 10 :] = False
    rows, columns = np.nonzero(bright)
    assert columns.min() > width / 2
    assert columns.mean() == pytest.approx((x + 0.5) / 80 * width, abs=3)
    assert rows.mean() == pytest.approx((y + 0.5) / 100 * height, abs=3)  # anterior is up


def test_r_stands_on_the_left_and_l_on_the_right() -> None:
    picture = draw_panel(panel_of(slice_hu(fill=-1000.0))).mean(axis=2)
    height, width = picture.shape
    band = picture[int(height * 0.45) : int(height * 0.55)] > 200
    left, right = band[:, : width // 5], band[:, -width // 5 :]
    assert not band[:, width // 5 : -width // 5].any()
    # R encloses its bowl; L encloses nothing and has its foot in the lower half.
    assert ndimage.binary_fill_holes(left).sum() > left.sum()
    assert ndimage.binary_fill_holes(right).sum() == right.sum()
    letter_l = right[right.any(axis=1)]
    assert letter_l[: len(letter_l) // 2].sum() < letter_l[len(letter_l) // 2 :].sum()


def test_pixels_that_are_not_square_keep_their_proportions() -> None:
    rows, columns = np.mgrid[:100, :80]
    square = (np.abs(rows - 49.5) * 1.0 < 20) & (np.abs(columns - 39.5) * 2.0 < 20)  # 40 mm by 40 mm
    picture = draw_panel(panel_of(np.where(square, 40.0, -1000.0).astype(np.float32), (1.0, 2.0)), width_px=400)
    assert picture.shape == (250, 400, 3)  # 100 mm high, 160 mm wide
    inside = picture[60:190, 80:320].mean(axis=2) > 60
    assert np.ptp(np.flatnonzero(inside.any(axis=1))) == pytest.approx(
        np.ptp(np.flatnonzero(inside.any(axis=0))), abs=3
    )


@pytest.mark.parametrize(("window", "grey"), [(BRAIN_WINDOW, 0.5), (STROKE_WINDOW, 2 / 3)])
def test_a_density_takes_its_place_in_the_window(window: object, grey: float) -> None:
    picture = draw_panel(panel_of(slice_hu(fill=40.0), window=window))
    height, width = picture.shape[:2]
    assert picture[height // 3, width // 2] / 255 == pytest.approx([grey] * 3, abs=0.02)


def test_windows_have_their_usual_names() -> None:
    assert (BRAIN_WINDOW.label, STROKE_WINDOW.label) == ("W80 C40", "W30 C35")
    assert BRAIN_WINDOW.limits_hu == (0, 80)
    assert STROKE_WINDOW.limits_hu == (20, 50)


def test_an_outline_follows_its_mask() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    mask[30:50, 45:65] = True
    picture = draw_panel(panel_of(slice_hu(), outlines=(Outline(mask, ORANGE),)), width_px=400)
    found = coloured(picture) / (500, 400)
    assert found.min(axis=0) == pytest.approx([0.30, 45 / 80], abs=0.02)
    assert found.max(axis=0) == pytest.approx([0.50, 65 / 80], abs=0.02)


def test_a_single_voxel_is_still_outlined_and_an_empty_mask_is_not() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    assert len(coloured(draw_panel(panel_of(slice_hu(), (0.5, 0.5), outlines=(Outline(mask, ORANGE),))))) == 0
    mask[50, 40] = True
    assert len(coloured(draw_panel(panel_of(slice_hu(), (0.5, 0.5), outlines=(Outline(mask, ORANGE),))))) > 0


def test_dashes_leave_gaps() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    mask[30:70, 20:60] = True
    solid, dashed = (
        len(coloured(draw_panel(panel_of(slice_hu(), outlines=(Outline(mask, style),)))))
        for style in (ORANGE, replace(ORANGE, dashes=(3.0, 2.0)))
    )
    assert 0.3 * solid < dashed < 0.8 * solid


def test_the_difference_map_is_orange_where_darker_and_clear_where_equal() -> None:
    difference = np.zeros((100, 80), dtype=np.float32)
    difference[20:40, 50:70], difference[20:40, 10:30] = -8.0, 8.0
    picture = draw_panel(panel_of(slice_hu(), overlay=Overlay(difference, DIFFERENCE_SCALE)), width_px=400).astype(int)
    red, _, blue = picture[150, 300]
    assert red > blue + 60
    red, _, blue = picture[150, 100]
    assert blue > red + 40
    assert np.ptp(picture[300, 200]) == 0


def test_attention_gets_brighter_on_its_own_side_and_leaves_what_weighed_little_clear() -> None:
    attention = np.zeros((100, 80), dtype=np.float32)
    attention[20:40, 50:70], attention[45:65, 50:70], attention[20:40, 10:30] = 1.0, 0.6, 0.1
    picture = draw_panel(panel_of(slice_hu(), overlay=Overlay(attention, ATTENTION_SCALE)), width_px=400).astype(int)
    most, less, little = picture[150, 300], picture[275, 300], picture[150, 100]
    assert most[2] > most[0] + 60
    assert less[2] > less[0] + 40
    assert most.sum() > less.sum() + 60
    assert np.ptp(little) == 0


def test_a_field_beyond_the_slice_is_black() -> None:
    hu = slice_hu()
    picture = draw_panel(Panel(hu, (2.0, 2.0), Field(-20, 100, -20, 100)), width_px=300)
    assert picture[40, 150].max() < 5
    assert picture[170, 150].max() > 100


def test_the_head_field_holds_the_brain_with_margins_in_mm() -> None:
    mask = np.zeros((4, 100, 80), dtype=bool)
    mask[1, 30:70, 20:60] = True
    wide, fine = head_field(mask, (1.0, 1.0)), head_field(mask, (0.5, 0.5))
    assert wide.row_start < 30 - 12
    assert wide.column_stop > 60 + 12
    assert 30 - fine.row_start == 2 * (30 - wide.row_start)
    assert head_field(np.zeros_like(mask), (1.0, 1.0)) == Field(0, 100, 0, 80)


def test_text_is_not_read_as_a_formula() -> None:
    drawn = draw_panel(panel_of(slice_hu(), text="cost $1_{x$ \\frac"))
    assert (drawn != draw_panel(panel_of(slice_hu(), text=""))).any()


def test_the_same_panel_gives_the_same_bytes_without_metadata() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    mask[30:50, 45:65] = True
    panel = panel_of(slice_hu(), outlines=(Outline(mask, ORANGE, "M2"),), text="slice 1 of 3")
    first, second = (png(draw_panel(panel)) for _ in range(2))
    assert first == second
    image = Image.open(io.BytesIO(first))
    assert not image.info
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - draw_panel(panel)).max() < 40
