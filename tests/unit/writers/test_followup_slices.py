"""Pictures of the follow-up infarct: which slices, which colours, which side; and its section in the report."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_head import CaseMaker

from infarct.findings import Analysis, FollowupInfarct
from infarct.types import LabelArray
from infarct.volume import Scan
from infarct.writers import render_html
from infarct.writers.followup_slices import FOLLOWUP_STYLES, followup_slices, shown_slices
from infarct.writers.panels import draw_panel


@pytest.fixture(scope="module")
def followup(case: CaseMaker) -> tuple[Scan, Analysis, LabelArray]:
    """Return the case with blood, its lesion as an infarct of two degrees with a clot in it."""
    scan, analysis = case("bleeding")
    infarct, blood = analysis.maps.infarct, analysis.maps.hemorrhage
    assert infarct is not None
    assert blood is not None
    labels = np.where(infarct, 2, 0).astype(np.uint8)
    labels[infarct & (np.arange(infarct.shape[1])[:, None] > 110)] = 1
    labels[blood] = 4
    told = FollowupInfarct(
        method="patch_cnn_dense", volume_ml=61.2, without_blood_ml=55.5, severe_ml=20.0, intermediate_ml=36.0,
        subtle_ml=0.0, hemorrhage_ml=5.7, growth_ml=None, midline_shift_mm=3.2, midline_shift_side="right",
        side="left", mean_hu=26.0, heidelberg=("1c",),
    )  # fmt: skip
    findings = analysis.findings.model_copy(update={"followup_infarct": told})
    return scan, Analysis(findings, replace(analysis.maps, followup_infarct=labels)), labels


def test_pictures_stand_in_pairs_from_below(followup: tuple[Scan, Analysis, LabelArray]) -> None:
    scan, analysis, labels = followup
    pictures = followup_slices(scan, analysis)
    slices = shown_slices(labels)
    assert len(pictures) == 2 * len(slices)
    assert list(slices) == sorted(slices)
    assert int((labels > 0).sum(axis=(1, 2)).argmax()) in slices
    assert int((labels == 4).sum(axis=(1, 2)).argmax()) in slices
    for k, (plain, marked) in zip(slices, zip(pictures[::2], pictures[1::2], strict=True), strict=True):
        assert f"slice {k + 1} of" in plain.panel.text
        assert not plain.panel.outlines
        names = [name for label, name in enumerate(FOLLOWUP_STYLES, start=1) if (labels[k] == label).any()]
        assert all(name in marked.alt for name in names)
        for name, outline in zip(names, marked.panel.outlines, strict=True):
            assert np.array_equal(outline.mask, labels[k] == 1 + list(FOLLOWUP_STYLES).index(name))


def test_the_left_infarct_is_coloured_on_the_right_of_the_picture(
    followup: tuple[Scan, Analysis, LabelArray],
) -> None:
    scan, analysis, labels = followup
    k = int((labels > 0).sum(axis=(1, 2)).argmax())
    only = replace(analysis.maps, followup_infarct=np.where(np.arange(len(labels))[:, None, None] == k, labels, 0))
    _, marked = followup_slices(scan, Analysis(analysis.findings, only))
    plain = draw_panel(replace(marked.panel, outlines=())).astype(int)
    change = np.abs(draw_panel(marked.panel).astype(int) - plain).max(axis=2) > 20
    columns = np.nonzero(change)[1]
    assert columns.mean() > 0.55 * change.shape[1]


def test_one_slice_or_none() -> None:
    labels = np.zeros((6, 5, 5), dtype=np.uint8)
    labels[4, 2, 2] = 3
    assert shown_slices(labels) == (4,)


def test_without_an_infarct_there_is_no_picture(followup: tuple[Scan, Analysis, LabelArray]) -> None:
    scan, analysis, labels = followup
    for nothing in (None, np.zeros_like(labels)):
        maps = replace(analysis.maps, followup_infarct=nothing)
        assert followup_slices(scan, Analysis(analysis.findings, maps)) == ()


def test_the_report_has_the_section(followup: tuple[Scan, Analysis, LabelArray]) -> None:
    scan, analysis, _ = followup
    page = render_html(scan, analysis)
    assert page.index('id="bleeding"') < page.index('id="followup"') < page.index('id="levels"')
    assert "class 1c (PH1" in page
    assert all(f"</svg>{name}</span>" in page for name in FOLLOWUP_STYLES)
