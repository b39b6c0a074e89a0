"""Pictures of attention: which slices, on which side, and when there are none."""

from dataclasses import replace

import numpy as np
from synthetic_head import GANGLIONIC, SUPRAGANGLIONIC, Case, CaseMaker, make_aspects

from infarct.anatomy import region_label
from infarct.findings import Override
from infarct.writers import render_html, wording
from infarct.writers.attention_slices import (
    MOST_SLICES,
    OVERRULED_STYLE,
    attention_by_slice,
    attention_slices,
    best_slices,
)
from infarct.writers.key_slices import REGION_STYLES
from infarct.writers.panels import draw_panel


def looked(case: CaseMaker) -> Case:
    """The head with a lesion whose affected regions weigh 1, the insula only half."""
    scan, analysis = case("lesion")
    labels = analysis.maps.aspects_regions
    assert labels is not None
    attention = np.isin(labels, [region_label(region, "left") for region in ("L", "M2", "M5")]).astype(np.float32)
    attention[labels == region_label("I", "left")] = 0.5
    return scan, replace(analysis, maps=replace(analysis.maps, aspects_attention=attention))


def test_attention_is_summed_in_each_region_of_a_slice() -> None:
    labels = np.array([[[1, 1, 12]], [[0, 12, 12]]], dtype=np.uint8)
    attention = np.array([[[0.25, 0.5, 1.0]], [[1.0, 0.5, 0.25]]], dtype=np.float32)
    weights = attention_by_slice(attention, labels)
    assert weights.shape == (2, 21)
    assert weights[:, 1].tolist() == [0.75, 0]
    assert weights[:, 12].tolist() == [1.0, 0.75]


def test_few_slices_show_every_region() -> None:
    """Slice 2 shows regions 1 and 2 well and 3 not; 3 is best on slice 4; 4 has no attention."""
    weights = np.zeros((6, 21))
    weights[1:4, 1] = 4, 5, 2
    weights[2:4, 2] = 2, 3
    weights[2:5, 3] = 1, 5, 10
    assert best_slices(weights, (1, 2, 3, 4)) == (2, 4)
    assert best_slices(weights, (1,)) == (2,)
    assert best_slices(weights, (4,)) == ()
    assert best_slices(np.eye(21), range(1, 21)) == tuple(range(1, 1 + MOST_SLICES))


def test_affected_regions_are_shown_plain_and_with_attention(case: CaseMaker) -> None:
    pictures = attention_slices(*looked(case))
    slices = [int(picture.panel.text.split()[1]) for picture in pictures]
    assert len(slices) == 4
    assert abs(slices[0] - 1 - GANGLIONIC) <= 1
    assert abs(slices[2] - 1 - SUPRAGANGLIONIC) <= 1
    assert slices[::2] == slices[1::2]
    assert [picture.panel.overlay is None for picture in pictures] == [True, False, True, False]
    assert {picture.panel.window.label for picture in pictures} == {"W30 C35"}
    assert pictures[1].title == "Attention: left I, L and M2"
    assert [outline.text for outline in pictures[3].panel.outlines] == ["M5"]
    assert len({picture.alt for picture in pictures}) == 4


def test_the_left_of_the_patient_is_coloured_on_the_right_of_the_picture(case: CaseMaker) -> None:
    _, drawn = attention_slices(*looked(case))[:2]
    picture = draw_panel(replace(drawn.panel, outlines=(), hu=np.full_like(drawn.panel.hu, 30.0)), width_px=300)
    height, width = picture.shape[:2]
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 40)[: int(0.9 * height)]
    assert blue[:, width // 2 :].sum() > 100
    assert not blue[:, : width // 2].any()


def test_nothing_is_shown_without_attention_or_without_an_affected_region(case: CaseMaker) -> None:
    assert attention_slices(*case("lesion")) == ()
    assert attention_slices(*case("nothing_run")) == ()
    scan, healthy = case("normal")
    attention = np.zeros(scan.hu.shape, dtype=np.float32)
    healthy = replace(healthy, maps=replace(healthy.maps, aspects_attention=attention))
    assert attention_slices(scan, healthy) == ()


def test_what_a_reader_overrules_stays_coloured_in_an_outline_of_its_own(case: CaseMaker) -> None:
    scan, analysis = looked(case)
    change = Override(region="M2", side="left", affected=False, reader="A. Reader", at="2026-03-01T12:30:00Z")
    findings = analysis.findings.model_copy(update={"aspects": make_aspects(overrides=(change,))})
    drawn = attention_slices(scan, replace(analysis, findings=findings))[1]
    styles = {outline.text: outline.style for outline in drawn.panel.outlines}
    assert styles["M2"] == OVERRULED_STYLE
    assert styles["L"] == REGION_STYLES["affected"]
    assert drawn.title == "Attention: left I, L and M2"
    assert wording.attention_sentence(make_aspects(overrides=(change,))).endswith("not affected, says a reader.")
    assert "reader" not in wording.attention_sentence(make_aspects())


def test_the_report_tells_what_attention_is(case: CaseMaker) -> None:
    page = render_html(*looked(case))
    assert page.count("Where the network looked") == 1
    assert "colour inside is no proof of an infarct" in page
    assert page.count("colour map of the attention") == 2
