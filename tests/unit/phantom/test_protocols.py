from functools import cache

import numpy as np
import pytest

from infarct.phantom.draws import Stream
from infarct.phantom.patient import Protocol
from infarct.phantom.protocols import SCANNERS, draw_protocol


@cache
def protocols(source: str) -> tuple[Protocol, ...]:
    return tuple(draw_protocol(Stream(index, "train", source, "acute"), source, "train") for index in range(600))


@pytest.mark.parametrize("source", SCANNERS)
def test_settings_stay_within_what_scanners_do(source: str) -> None:
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
