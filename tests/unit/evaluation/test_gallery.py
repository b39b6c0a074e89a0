"""Pictures show the right slices and sides; the page shows the right scans."""

import io

import numpy as np
import pytest
from PIL import Image

from infarct.evaluation.gallery import FOUND_STYLE, TRUTH_STYLE, caption, case_picture, choose, gallery
from infarct.evaluation.segment import Prediction, Truth
from infarct.volume import Geometry, Scan
from unit.evaluation.drawn_results import drawn_results

GEOMETRY = Geometry.regular((8, 60, 60), (5.0, 3.0, 3.0))


def mask(z: int, x: slice) -> np.ndarray:
    out = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    out[z, 25:35, x] = True
    return out


NOTHING = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
BRAIN = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
BRAIN[:, 10:50, 10:50] = True
SCAN = Scan(np.where(BRAIN, 35.0, -1000.0).astype(np.float32), GEOMETRY)


def panels(prediction: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(case_picture(SCAN, Prediction(prediction), Truth(truth, brain=BRAIN))))
    return np.split(np.asarray(image.convert("RGB")).astype(int), 3, axis=1)


def columns_of(panel: np.ndarray, colour: str) -> np.ndarray:
    """Return the columns, as shares of the width, where an outline's colour stands."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    near = np.abs(panel - wanted).sum(axis=2) < 60
    return np.flatnonzero(near.any(axis=0)) / panel.shape[1]


def test_a_lesion_on_the_patients_left_is_on_the_right_of_the_picture() -> None:
    plain, outlined, _ = panels(mask(3, slice(15, 20)), mask(3, slice(38, 45)))
    assert columns_of(outlined, TRUTH_STYLE.colour).min() > 0.5
    assert columns_of(outlined, FOUND_STYLE.colour).max() < 0.5
    assert not len(columns_of(plain, TRUTH_STYLE.colour))


def test_the_third_panel_is_where_most_is_wrongly_marked() -> None:
    truth = mask(3, slice(38, 45))
    _, key, wrong = panels(truth | mask(6, slice(15, 25)), truth)
    assert len(columns_of(key, FOUND_STYLE.colour))
    assert not len(columns_of(wrong, TRUTH_STYLE.colour))
    assert columns_of(wrong, FOUND_STYLE.colour).max() < 0.5


def test_where_nothing_is_wrongly_marked_it_shows_what_was_missed() -> None:
    truth = mask(3, slice(38, 45)) | mask(6, slice(38, 43))
    _, _, missed = panels(mask(3, slice(38, 45)), truth)
    assert len(columns_of(missed, TRUTH_STYLE.colour))
    assert not len(columns_of(missed, FOUND_STYLE.colour))


@pytest.mark.parametrize(("prediction", "truth"), [(NOTHING, NOTHING), (mask(2, slice(20, 30)), NOTHING)])
def test_scans_without_lesion_have_a_picture_too(prediction: np.ndarray, truth: np.ndarray) -> None:
    assert len(panels(prediction, truth)) == 3


def grey_sd(slice_mm: float) -> float:
    """Return the SD of the grey values of a picture of white noise in slices of a thickness."""
    grid = Geometry.regular((40, 60, 60), (slice_mm, 3.0, 3.0))
    noise = np.random.default_rng(0).normal(40, 8, grid.shape_zyx).astype(np.float32)
    brain, empty = np.ones(grid.shape_zyx, dtype=bool), np.zeros(grid.shape_zyx, dtype=bool)
    picture = case_picture(Scan(noise, grid), Prediction(empty), Truth(empty, brain=brain))
    plain = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=float)
    return float(plain[150:200, 120:240].std())


def test_thin_slices_are_averaged_for_display() -> None:
    """Five slices of noise have 1 / 2.24 of its SD; interpolation between pixels takes its part of both."""
    assert 1.6 < grey_sd(5.0) / grey_sd(1.0) < 2.5


def test_worst_middle_and_best_are_chosen() -> None:
    results = drawn_results("a", 30) + drawn_results("b", 5, seed=9, healthy=1.0)
    chosen = choose(results, each=2)
    ranked = sorted(results[:30], key=lambda case: case.counts.dice)
    assert [(one.rank, one.result.about.id) for one in chosen[:6]] == [
        *(("worst", case.about.id) for case in ranked[:2]),
        *(("middle", case.about.id) for case in ranked[14:16]),
        *(("best", case.about.id) for case in ranked[28:]),
    ]
    most = sorted(results[30:], key=lambda case: -case.false_positive_ml)
    assert [one.result for one in chosen[6:]] == most[:2]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_few_scans_are_shown_once_each(count: int) -> None:
    chosen = choose(drawn_results("a", count))
    assert len({one.result.about.id for one in chosen}) == len(chosen) == count


def test_captions_say_what_is_known() -> None:
    ill, free = choose(drawn_results("a", 1)), choose(drawn_results("b", 1, healthy=1.0))
    assert caption(ill[0]).startswith("a, worst: a-0000, Dice 0.")
    assert "d' " in caption(ill[0])
    assert caption(free[0]).endswith("ml wrongly marked")


def test_the_page_leaves_out_what_has_no_picture() -> None:
    chosen = choose(drawn_results("a", 3))
    picture = case_picture(SCAN, Prediction(NOTHING), Truth(NOTHING, brain=BRAIN))
    heights = []
    for known in ({"a-0000"}, {"a-0000", "a-0001"}):
        page = gallery(chosen, lambda case, known=known: picture if case.about.id in known else None)  # type: ignore[misc]
        heights.append(Image.open(io.BytesIO(page)).height)
    single = Image.open(io.BytesIO(picture)).height
    assert heights[1] - heights[0] > single
    with pytest.raises(ValueError, match="picture"):
        gallery(chosen, lambda _: None)
