from dataclasses import replace

import numpy as np
import pytest
from synthetic_head import GANGLIONIC, SUPRAGANGLIONIC, CaseMaker, make_findings, make_lesion

from infarct.findings import Analysis, Maps
from infarct.volume import Geometry, Scan
from infarct.writers.key_slices import (
    REGION_STYLES,
    STRIP_LENGTH,
    key_lesion,
    key_levels,
    lesion_numbers,
    lesion_strip,
    slab_hu,
)
from infarct.writers.panels import DIFFERENCE_SCALE


def test_both_levels_are_shown_outlined_plain_narrow_and_as_difference(case: CaseMaker) -> None:
    levels = key_levels(*case("lesion"))
    assert [level.slice_text for level in levels] == [
        f"slice {GANGLIONIC + 1} of 24",
        f"slice {SUPRAGANGLIONIC + 1} of 24",
    ]
    assert [picture.panel.window.label for picture in levels[0].pictures] == [
        "W80 C40",
        "W80 C40",
        "W30 C35",
        "W80 C40",
    ]
    assert [bool(picture.panel.outlines) for picture in levels[0].pictures] == [True, False, False, False]
    overlay = levels[0].pictures[3].panel.overlay
    assert overlay is not None
    assert overlay.scale is DIFFERENCE_SCALE


def test_outlines_take_the_style_of_the_finding_on_the_right_side(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    outlines = key_levels(scan, analysis)[0].pictures[0].panel.outlines
    styles = {}
    for outline in outlines:
        x = float(np.argwhere(outline.mask)[:, 1].mean())
        styles[outline.text, "left" if x > scan.hu.shape[2] / 2 else "right"] = outline.style
    assert len(styles) == 14
    assert styles["M2", "left"] == styles["I", "left"] == REGION_STYLES["affected"]
    assert styles["M2", "right"] == styles["M1", "left"] == REGION_STYLES["not affected"]
    assert outlines[-1].style == REGION_STYLES["affected"]  # drawn over its neighbours


def test_regions_that_cannot_be_judged_are_dashed(case: CaseMaker) -> None:
    outlines = key_levels(*case("unscored"))[1].pictures[0].panel.outlines
    dashed = [outline.text for outline in outlines if outline.style.dashes]
    assert sorted(dashed) == ["M4", "M6"]


def test_alternative_texts_name_the_affected_regions(case: CaseMaker) -> None:
    assert "Affected here: left I, left L, left M2." in key_levels(*case("lesion"))[0].pictures[0].alt
    assert "No region here is affected." in key_levels(*case("normal"))[0].pictures[0].alt


def test_a_level_without_a_slice_is_left_out(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    one = replace(analysis, maps=replace(analysis.maps, ganglionic_slice=None))
    assert [level.name for level in key_levels(scan, one)] == ["Supraganglionic level"]
    assert key_levels(*case("nothing_run")) == ()


def test_maps_that_are_missing_only_take_their_own_picture_away(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    bare = replace(analysis, maps=replace(analysis.maps, side_difference_hu=None, aspects_regions=None))
    assert [p.title for p in key_levels(scan, bare)[0].pictures] == ["Brain window, W80 C40", "Stroke window, W30 C35"]


def test_the_strip_shows_every_large_lesion_from_below_upwards(case: CaseMaker) -> None:
    strip = lesion_strip(*case("lesion"))
    slices = [int(picture.panel.text.split()[1]) for picture in strip]
    assert len(strip) == STRIP_LENGTH
    assert slices == sorted(set(slices))
    assert strip[0].title == "Lesion 2"  # the cerebellum, outside both levels
    assert {picture.title for picture in strip[1:]} == {"Lesion 1"}
    assert [outline.text for outline in strip[0].panel.outlines] == ["2"]


def test_the_strip_also_shows_bleeding_and_old_infarct(case: CaseMaker) -> None:
    alts = " ".join(picture.alt for picture in lesion_strip(*case("bleeding")))
    assert "suspected bleeding" in alts
    assert "old infarct" in alts


def test_without_lesions_the_strip_runs_through_the_brain(case: CaseMaker) -> None:
    scan, analysis = case("normal")
    strip = lesion_strip(scan, analysis)
    assert len(strip) == STRIP_LENGTH
    assert not any(picture.panel.outlines for picture in strip)
    assert all("nothing is marked" in picture.alt for picture in strip)


def test_lesions_take_their_number_by_centroid_not_by_size() -> None:
    geometry = Geometry.regular((6, 40, 40), (5.0, 1.0, 1.0))
    small, large, unknown = (np.zeros(geometry.shape_zyx, dtype=bool) for _ in range(3))
    small[1, 5:8, 5:8] = large[3:5, 20:30, 20:30] = unknown[5, 2:4, 35:37] = True
    lesions = (make_lesion(small, geometry), make_lesion(large, geometry))
    numbers = lesion_numbers(small | large | unknown, lesions, geometry)
    assert numbers is not None
    assert np.array_equal(numbers == 1, small)
    assert np.array_equal(numbers == 2, large)
    assert not numbers[unknown].any()
    assert lesion_numbers(None, lesions, geometry) is None


def test_a_lesion_of_the_mask_without_a_number_is_still_outlined(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    findings = make_findings()
    strip = lesion_strip(scan, Analysis(findings, analysis.maps))
    assert all(picture.panel.outlines for picture in strip)
    assert strip[0].title == "A lesion"


@pytest.mark.parametrize(("spacing_mm", "count"), [(1.0, 5), (1.25, 5), (2.5, 3), (3.0, 1), (5.0, 1)])
def test_thin_slices_are_averaged_over_five_millimetres(spacing_mm: float, count: int) -> None:
    geometry = Geometry.regular((20, 4, 4), (spacing_mm, 1.0, 1.0))
    hu = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None] ** 2, geometry.shape_zyx)
    shown, averaged = slab_hu(Scan(np.array(hu), geometry), 10)
    near = np.arange(10 - count // 2, 11 + count // 2)
    assert averaged == count
    assert shown[0, 0] == pytest.approx((near**2).mean())


def test_an_averaged_slice_says_so() -> None:
    geometry = Geometry.regular((20, 40, 40), (1.0, 4.0, 4.0))
    scan = Scan(np.full(geometry.shape_zyx, 30, dtype=np.float32), geometry)
    maps = Maps(brain_mask=np.ones(geometry.shape_zyx, dtype=bool), ganglionic_slice=10)
    analysis = Analysis(make_findings(), maps)
    assert key_levels(scan, analysis)[0].slab_text == "mean of 5 slices, about 5 mm"
    assert "Mean of 5 slices" in lesion_strip(scan, analysis)[2].alt


def test_the_key_lesion_is_the_fullest_slice_of_the_largest_one(case: CaseMaker) -> None:
    scan, analysis = case("lesion")
    found = key_lesion(scan, analysis)
    assert found is not None
    mask, k = analysis.maps.infarct, found[0]
    assert mask is not None
    left = mask[:, :, mask.shape[2] // 2 :]  # the small one is on the right
    assert left[k].sum() == left.sum(axis=(1, 2)).max()
    assert found[1].title == "Lesion 1"
    assert key_lesion(*case("normal")) is None
    assert key_lesion(*case("nothing_run")) is None
