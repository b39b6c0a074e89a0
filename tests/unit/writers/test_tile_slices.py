"""Pictures of marked tiles: which slices, what is drawn where, and when there are none."""

from dataclasses import replace

import numpy as np
from synthetic_head import SHAPE_ZYX, Case, CaseMaker

from infarct.anatomy import Territory
from infarct.findings import Localization, Patch, Weights
from infarct.writers import render_html, wording
from infarct.writers.panels import draw_panel
from infarct.writers.tile_slices import TILE_STYLE, tile_mask, tile_slices

SIZE_PX = 9


def patch(slice_index: int, row: int, column: int, territory: Territory | None = "MCA") -> Patch:
    return Patch(
        slice_index=slice_index,
        sop_uid_hash=None,
        row=row,
        column=column,
        size_px=SIZE_PX,
        probability=0.9,
        side="left",
        territory=territory,
        region="supratentorial",
        area="cortical",
    )


PATCHES = (patch(8, 90, 120), patch(12, 90, 120), patch(12, 90, 129), patch(12, 99, 120, "PCA"))
FOUND = Localization(method="vgg16", patches=PATCHES, lesion_side="left", key_slices=(12, 8))
NOTHING = Localization(method="vgg16", patches=(), lesion_side="none", key_slices=())


def judged(case: CaseMaker, found: Localization = FOUND) -> Case:
    """The head with a lesion and tiles marked in it."""
    scan, analysis = case("lesion")
    probability = np.zeros(SHAPE_ZYX, dtype=np.float32)
    for one in found.patches:
        probability[one.slice_index][tile_mask(one, SHAPE_ZYX[1:])] = one.probability
    provenance = analysis.findings.provenance.model_copy(
        update={
            "config": {"localize": {"whole_threshold": 0.83}},
            "weights": (Weights(system="localize", name="x", sha256="0", calibrated_on="phantoms"),),
        }
    )
    findings = analysis.findings.model_copy(update={"localization": found, "provenance": provenance})
    return scan, replace(analysis, findings=findings, maps=replace(analysis.maps, patch_probability=probability))


def test_each_key_slice_is_shown_plain_and_with_its_tiles(case: CaseMaker) -> None:
    pictures = tile_slices(*judged(case))
    assert [picture.panel.text for picture in pictures] == ["slice 9 of 24"] * 2 + ["slice 13 of 24"] * 2
    assert [len(picture.panel.outlines) for picture in pictures] == [0, 1, 0, 3]
    assert [picture.panel.overlay is None for picture in pictures] == [True, False, True, False]
    assert [picture.title for picture in pictures[1::2]] == ["1 tile marked", "3 tiles marked"]
    drawn = pictures[3].panel.overlay
    assert drawn is not None
    assert drawn.values[95, 125] == np.float32(0.9)


def test_a_tile_is_outlined_at_its_rows_and_columns(case: CaseMaker) -> None:
    mask = tile_slices(*judged(case))[1].panel.outlines[0].mask
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (90, 98, 120, 128)
    assert mask.sum() == SIZE_PX**2


def test_the_picture_has_colour_on_the_patients_left(case: CaseMaker) -> None:
    """Column 120 of 170 lies on the patient's left, which is the right half of the picture."""
    plain, marked = (draw_panel(picture.panel).astype(int) for picture in tile_slices(*judged(case))[2:])
    changed = np.abs(marked - plain).sum(axis=2) > 60
    half = changed.shape[1] // 2
    top = slice(0, int(0.9 * len(changed)))  # the scale of colours lies below
    assert changed[top, half:].sum() > 100
    assert changed[top, :half].sum() == 0


def test_nothing_marked_nothing_drawn(case: CaseMaker) -> None:
    scan, analysis = judged(case, NOTHING)
    assert tile_slices(scan, analysis) == ()
    page = render_html(scan, analysis)
    assert "No tile is marked." in page
    assert "marked tiles</span>" not in page
    assert tile_slices(*case("lesion")) == ()
    assert "tile by tile" not in render_html(*case("lesion"))


def test_the_report_tells_what_was_found_and_by_what(case: CaseMaker) -> None:
    page = render_html(*judged(case))
    assert "4 tiles marked in 2 slices, mainly left; MCA and PCA." in page
    assert "VGG16" in page
    assert f"from 83{wording.NO_BREAK}% on" in page
    assert "calibrated on phantoms" in page
    assert TILE_STYLE.colour in page


def test_few_tiles_of_a_territory_do_not_name_it() -> None:
    many = tuple(patch(5, 8 * row, 0) for row in range(10))
    found = Localization(method="vgg16", patches=(*many, patch(5, 0, 90, "ACA")), lesion_side="both", key_slices=(5,))
    assert wording.tiles_sentence(found) == "11 tiles marked in 1 slice, both sides; MCA."
    one = Localization(method="vgg16", patches=(patch(5, 0, 0, None),), lesion_side="right", key_slices=(5,))
    assert wording.tiles_sentence(one) == "1 tile marked in 1 slice, mainly right."
