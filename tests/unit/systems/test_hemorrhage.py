"""Hemorrhage by an engine that judges a voxel by its own density, by made weights, and by the rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.findings import Hemorrhage
from infarct.preprocess.head import Head
from infarct.systems.hemorrhage import (
    blood_on_scan,
    config_of,
    find_by_rule,
    find_hemorrhage,
    hemorrhage_flag,
    load_hemorrhage,
)
from infarct.volume import Scan, volume_ml
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.systems.known_voxels import HEMORRHAGE, ball, detector_of, mirrored_patient, painted, seen
from unit.systems.made_patch_weights import dense_weights


@pytest.fixture(scope="module")
def case(healthy_patient: PlainPatient, healthy_head: Head) -> tuple[Scan, Head, np.ndarray]:
    """Return a head with a clot of 8 ml in the white matter of the left side."""
    scan, head = painted(healthy_patient, healthy_head, infarct_hu=34.0)
    to_scan = head.registration.atlas_to_scan
    blood = ball(scan, to_scan[:3, :3] @ (38.0, 40.0, 32.0) + to_scan[:3, 3], 12.5)
    return *seen(replace(scan, hu=np.where(blood, np.float32(65), scan.hu)), head), blood


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def test_a_clot_is_found_with_its_volume_type_and_place(case: tuple[Scan, Head, np.ndarray]) -> None:
    scan, head, blood = case
    found = find_hemorrhage(scan, head, detector_of(55, 75))
    told, true_ml = found.hemorrhage, volume_ml(blood, scan.geometry)
    assert told.suspected
    assert told.method == "patch_cnn_dense"
    assert told.volume_ml == pytest.approx(true_ml, rel=0.05)
    assert [one.type for one in told.types] == ["parenchymal"]
    assert sum(one.volume_ml for one in told.types) == pytest.approx(told.volume_ml)
    assert told.probability == pytest.approx(1 / (1 + np.exp(-(np.log(told.volume_ml + 0.1) / 0.5 + 1))))
    assert dice(blood_on_scan(found, scan.geometry), blood) > 0.95


def test_in_the_mirror_the_clot_is_on_the_other_side(case: tuple[Scan, Head, np.ndarray]) -> None:
    scan, head, blood = case
    other, mirrored_head = mirrored_patient(scan, head)
    found = find_hemorrhage(other, mirrored_head, detector_of(55, 75))
    assert dice(blood_on_scan(found, other.geometry)[..., ::-1], blood) > 0.95


def test_too_little_is_not_suspected_and_left_out_everywhere(case: tuple[Scan, Head, np.ndarray]) -> None:
    scan, head, _ = case
    config = replace(HEMORRHAGE, suspected_ml=20.0)
    found = find_hemorrhage(scan, head, detector_of(55, 75, config))
    assert not found.hemorrhage.suspected
    assert (found.hemorrhage.volume_ml, found.hemorrhage.types) == (0, ())
    assert found.hemorrhage.probability is not None
    assert found.hemorrhage.probability > 0.9  # of what was marked, not of what is told
    assert not found.mask.any()
    assert not blood_on_scan(found, scan.geometry).any()
    assert hemorrhage_flag(found.hemorrhage) is None


def test_no_blood_has_a_small_probability(case: tuple[Scan, Head, np.ndarray]) -> None:
    scan, head, _ = case
    found = find_hemorrhage(scan, head, detector_of(90, 95))
    assert not found.hemorrhage.suspected
    assert found.hemorrhage.probability == pytest.approx(1 / (1 + np.exp(-(np.log(0.1) / 0.5 + 1))))


def test_the_rule_finds_the_clot_too(case: tuple[Scan, Head, np.ndarray]) -> None:
    scan, head, blood = case
    found = find_by_rule(head)
    told = found.hemorrhage
    assert told.suspected
    assert (told.method, told.probability) == ("rule", None)
    assert [one.type for one in told.types] == ["parenchymal"]
    assert dice(blood_on_scan(found, scan.geometry), blood) > 0.6


def test_the_flag_tells_what_is_no_longer_valid() -> None:
    told = Hemorrhage(suspected=True, volume_ml=7.25, probability=None, types=())
    flag = hemorrhage_flag(told)
    assert flag is not None
    assert (flag.code, flag.severity, flag.value) == ("hemorrhage_suspected", "critical", 7.25)
    assert "not valid for reperfusion" in flag.message


def test_made_weights_run_from_their_file(case: tuple[Scan, Head, np.ndarray], tmp_path: Path) -> None:
    """They see bone near them as dense; the clot is marked, and most of the brain is not."""
    scan, head, blood = case
    path = save_weights(dense_weights(), tmp_path / "dense.safetensors")
    detector = load_hemorrhage(path, device="cpu", engine="torch", threads=1)
    found = find_hemorrhage(scan, head, detector)
    mask = blood_on_scan(found, scan.geometry)
    assert mask[blood].mean() > 0.8
    assert found.hemorrhage.suspected
    assert not mask[scan.hu > 500].all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"suspected_ml": 0.0},
        {"suspected_threshold": 0.0},
        {"suspected_threshold": 1.5},
        {"scan_temperature": -1.0},
        {"scan_bias": float("inf")},
        {"outputs": ["severe"]},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    weights = dense_weights()
    stored, network = dict(weights.settings), dict(weights.network_config)
    assert config_of(stored, network).suspected_ml == 2.0
    with pytest.raises(BadRequest):
        config_of({**stored, **wrong}, network)
    del stored["scan_bias"]
    with pytest.raises(BadRequest, match="scan_bias"):
        config_of(stored, network)
