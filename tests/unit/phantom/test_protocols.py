from functools import cache

import numpy as np
import pytest

from infarct.phantom.draws import Stream
from infarct.phantom.individuals import Source
from infarct.phantom.patient import Protocol, Split
from infarct.phantom.protocols import SCANNERS, THICK_NOISE, draw_protocol


@cache
def protocols(source: Source, split: Split = "train") -> tuple[Protocol, ...]:
    return tuple(draw_protocol(Stream(index, split, source, "acute"), source, split) for index in range(600))


@pytest.mark.parametrize("source", SCANNERS)
def test_settings_stay_within_what_scanners_do(source: Source) -> None:
    for protocol in protocols(source):
        assert abs(protocol.offset_hu) <= 3
        assert 0.38 <= protocol.pixel_mm <= 0.6
        assert 0.5 <= protocol.thickness_mm <= 9
        assert abs(protocol.tilt_deg) <= 24
        pose = protocol.pose
        assert -22 <= pose.pitch_deg <= 25
        assert max(abs(pose.roll_deg), abs(pose.yaw_deg)) <= 20
        assert max(abs(mm) for mm in pose.shift_mm) <= 30


def test_noise_of_back_projection_falls_with_the_square_root_of_thickness() -> None:
    thick = [p.noise_hu for p in protocols("followup") if p.reconstruction == "fbp"]
    thin = [p.noise_hu for p in protocols("acute") if p.reconstruction == "fbp"]
    assert min(thick) >= 3.8
    assert max(thick) <= 5.6
    assert np.mean(thin) / np.mean(thick) == pytest.approx(5**0.5, rel=0.05)


def test_other_reconstructions_are_quieter() -> None:
    mean = {
        name: np.mean([p.noise_hu for p in protocols("followup") if p.reconstruction == name])
        for name in ("fbp", "iterative", "deep")
    }
    assert mean["deep"] < mean["iterative"] < mean["fbp"]


def test_most_heads_are_nearly_straight_and_some_are_not() -> None:
    roll = np.array([abs(p.pose.roll_deg) for p in protocols("mixed")])
    pitch = np.array([p.pose.pitch_deg for p in protocols("mixed")])
    assert np.median(roll) < 3
    assert roll.max() > 12
    assert 7 < pitch.std() < 12


def test_stacks_are_even_overlapping_or_uneven() -> None:
    kinds = {"even": 0, "overlapping": 0, "spaced": 0, "uneven": 0}
    for protocol in protocols("hyperacute"):
        gap, thickness = protocol.gaps_mm[0], protocol.thickness_mm
        if len(protocol.gaps_mm) == 2:
            kinds["uneven"] += 1
            assert protocol.gaps_mm[1] > gap
        else:
            kinds["even" if gap == thickness else "overlapping" if gap < thickness else "spaced"] += 1
    assert kinds["even"] / 600 > 0.7
    assert min(kinds.values()) > 0


def test_thin_slices_overlap_by_half() -> None:
    assert {(p.thickness_mm, p.gaps_mm) for p in protocols("acute")} == {(1.0, (0.5,))}


@pytest.mark.parametrize("source", ["hyperacute", "aspects", "followup", "mixed"])
def test_thick_slices_have_a_soft_kernel_and_a_low_dose(source: Source) -> None:
    """The noise of back-projection exceeds that of 5 mm slices (3.8-5.6 HU) by less dose times sqrt(5 / thickness)."""
    thick = [p for p in protocols(source, "shifted") if p.thickness_mm >= 8]
    assert len(thick) > 200
    for protocol in thick:
        assert protocol.kernel == "soft"
        assert protocol.kernel_sharpness < 0.82
        if protocol.reconstruction == "fbp":
            at_5mm = protocol.noise_hu / THICK_NOISE * (protocol.thickness_mm / 5) ** 0.5
            assert 3.79 < at_5mm < 5.61


def test_kernels_of_shifted_are_never_met_elsewhere() -> None:
    shifted = [p for p in protocols("mixed", "shifted") if p.thickness_mm < 8]
    assert {p.kernel for p in shifted} == {"soft", "sharp"}
    assert all(not 0.85 <= p.kernel_sharpness <= 1.15 for p in shifted)
    assert all(0.85 <= p.kernel_sharpness <= 1.15 for p in protocols("mixed"))
