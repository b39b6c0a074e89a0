"""HU and swelling over time, against hand-worked values."""

from itertools import pairwise

import pytest
from mock_canvas import mock_stroke

from infarct.phantom import kinetics

NORMAL_HU = 34.0


@pytest.mark.parametrize(("hours", "drop"), [(0, 0), (1.5, 0.7), (3, 2), (4.5, 3), (6, 4), (12, 5.5), (24, 8)])
def test_the_median_infarct_follows_the_curve(hours, drop) -> None:
    assert kinetics.drop_hu(hours, mock_stroke(), NORMAL_HU) == pytest.approx(drop)


@pytest.mark.parametrize("uptake", [0.7, 1.0, 1.5])
def test_tissue_is_severely_dark_in_the_first_week_and_never_fluid(uptake) -> None:
    left_hu = NORMAL_HU - kinetics.drop_hu(120, mock_stroke(uptake=uptake), NORMAL_HU)
    assert 13.5 < left_hu < 24.5
    drowned_hu = NORMAL_HU - kinetics.drop_hu(120, mock_stroke(uptake=20), NORMAL_HU)
    assert kinetics.LOWEST_HU <= drowned_hu < 14


def test_uptake_collaterals_and_reperfusion_multiply() -> None:
    assert kinetics.drop_hu(6, mock_stroke(uptake=1.5), NORMAL_HU) == pytest.approx(6)
    assert kinetics.drop_hu(6, mock_stroke(collaterals=1.0), NORMAL_HU) == pytest.approx(3.2)
    assert kinetics.drop_hu(6, mock_stroke(reperfused=True, reperfusion_factor=0.25), NORMAL_HU) == pytest.approx(1)
    assert kinetics.drop_hu(6, mock_stroke(reperfusion_factor=0.25), NORMAL_HU) == pytest.approx(4)


def test_the_drop_grows_and_bends_without_a_step() -> None:
    drops = [kinetics.drop_hu(24, mock_stroke(uptake=0.02 * step), NORMAL_HU) for step in range(400)]
    steps = [later - earlier for earlier, later in pairwise(drops)]
    assert all(0 <= step < 0.17 for step in steps)


def test_fogging_gives_back_its_share_at_its_peak_only() -> None:
    foggy, clear = mock_stroke(fogging=0.6), mock_stroke()
    for hours, share in ((100, 1.0), (192, 1.0), (336, 0.4), (504, 1.0)):
        expected = share * kinetics.drop_hu(hours, clear, NORMAL_HU)
        assert kinetics.drop_hu(hours, foggy, NORMAL_HU) == pytest.approx(expected)


def test_grey_and_white_converge() -> None:
    assert kinetics.lost_contrast(0) == 0
    assert kinetics.lost_contrast(5.5) == pytest.approx(0.5)
    assert kinetics.lost_contrast(20) == 1


def test_swelling_peaks_between_day_two_and_five() -> None:
    stroke = mock_stroke(swelling=1.0)
    gains = {hours: kinetics.swelling_gain(stroke, hours) for hours in range(0, 400, 12)}
    peak = max(gains, key=lambda hours: gains[hours])
    assert 48 <= peak <= 120
    assert gains[peak] == pytest.approx(0.3)
    assert gains[0] == 0
    assert gains[24] == pytest.approx(0.15)
    assert kinetics.swelling_gain(mock_stroke(swelling=0.5), 72) == pytest.approx(0.15)
