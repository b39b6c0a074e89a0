"""Volumetry on engines that judge a voxel by its own density: volumes, blood, sides, slices; and on made weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from infarct.errors import BadRequest, StepFailed
from infarct.preprocess.followup_region import followup_region
from infarct.preprocess.head import Head
from infarct.systems.hemorrhage import HemorrhageResult, find_by_rule, find_hemorrhage
from infarct.systems.volumetry import (
    VolumetryResult,
    blood_of_infarct,
    config_of,
    label_map,
    load_volumetry,
    measure_followup,
)
from infarct.types import Flag
from infarct.volume import Geometry, Scan, volume_ml
from infarct.volume.mask import centroid_mm
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.systems.known_voxels import (
    VOLUMETRY,
    ball,
    detector_of,
    mirrored_patient,
    painted,
    seen,
    volumetry_of,
)
from unit.systems.made_patch_weights import dark_weights, unet_weights

RANGES = ((10.0, 22.0), (20.0, 28.0), (26.0, 31.0))


@pytest.fixture(scope="module")
def case(left_patient: PlainPatient, left_head: Head) -> tuple[Scan, Head]:
    return painted(left_patient, left_head, infarct_hu=27.0)


@pytest.fixture(scope="module")
def blood(case: tuple[Scan, Head]) -> HemorrhageResult:
    return find_by_rule(case[1])


@pytest.fixture(scope="module")
def found(case: tuple[Scan, Head], blood: HemorrhageResult) -> VolumetryResult:
    return measure_followup(*case, volumetry_of(*RANGES), blood)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def test_the_volume_is_the_infarcts_and_each_networks_is_its_own(
    case: tuple[Scan, Head], left_patient: PlainPatient, found: VolumetryResult
) -> None:
    """27 HU lie in two of the ranges: both networks mark all of it, and the union holds it once."""
    true_ml = volume_ml(left_patient.truth.infarct, case[0].geometry)
    late = found.followup
    assert late.method == "patch_cnn_dense"
    assert late.volume_ml == pytest.approx(true_ml, rel=0.05)
    assert late.intermediate_ml == pytest.approx(true_ml, rel=0.05)
    assert late.subtle_ml == pytest.approx(true_ml, rel=0.05)
    assert late.severe_ml is not None
    assert late.severe_ml < 0.02 * true_ml
    assert late.without_blood_ml == late.volume_ml
    assert (late.hemorrhage_ml, late.heidelberg, late.growth_ml) == (0, (), None)
    assert late.side == "left"
    assert late.mean_hu == pytest.approx(27, abs=0.5)


def test_the_map_lies_on_the_infarct_and_the_faintest_class_covers(
    left_patient: PlainPatient, found: VolumetryResult
) -> None:
    labels = label_map(found)
    assert labels.dtype == np.uint8
    assert dice(labels > 0, left_patient.truth.infarct) > 0.95
    assert (labels == 3).sum() > 0.97 * (labels > 0).sum()


def test_a_patient_in_the_mirror_has_the_infarct_on_the_other_side(
    case: tuple[Scan, Head], found: VolumetryResult
) -> None:
    scan, head = mirrored_patient(*case)
    other = measure_followup(scan, head, volumetry_of(*RANGES), find_by_rule(head))
    assert other.followup.side == "right"
    assert other.followup.volume_ml == pytest.approx(found.followup.volume_ml, rel=1e-3)
    assert np.mean((label_map(other) > 0)[..., ::-1] != (label_map(found) > 0)) < 1e-4
    near, far = (centroid_mm(label_map(result) > 0, result.marks.picture.source) for result in (found, other))
    np.testing.assert_allclose(far * [-1, 1, 1], near, atol=0.1)


def test_thin_slices_have_the_same_volume_on_their_own_slices(
    case: tuple[Scan, Head], left_patient: PlainPatient, found: VolumetryResult
) -> None:
    scan, head = case
    thin = Geometry.regular(
        (len(scan.hu) * 4, *scan.geometry.size_yx),
        (1.25, *scan.geometry.pixel_spacing_mm_yx),
        origin_mm=scan.geometry.origins_mm[0] - [0, 0, 1.875],
    )
    finer = replace(scan, hu=np.repeat(scan.hu, 4, axis=0), geometry=thin)
    result = measure_followup(finer, head, volumetry_of(*RANGES), find_by_rule(head))
    assert result.marks.picture.geometry.shape_zyx[0] == len(scan.hu)
    assert result.followup.volume_ml == pytest.approx(found.followup.volume_ml, rel=0.01)
    labels = label_map(result)
    assert labels.shape == thin.shape_zyx
    assert dice(labels > 0, np.repeat(left_patient.truth.infarct, 4, axis=0)) > 0.95


@pytest.fixture(scope="module")
def bleeding(case: tuple[Scan, Head], left_patient: PlainPatient) -> tuple[Scan, Head, np.ndarray, np.ndarray]:
    """Return a head with blood in the middle of the infarct, and with blood far from it on the other side."""
    scan, head = case
    infarct = left_patient.truth.infarct
    depth = ndimage.distance_transform_edt(infarct, sampling=scan.geometry.spacing_mm_zyx)
    inside = ball(scan, scan.geometry.index_to_world(np.unravel_index(int(depth.argmax()), depth.shape)), 11.0)
    middle = scan.geometry.index_to_world(np.unravel_index(int(depth.argmax()), depth.shape))
    plane = head.midplane
    across = middle - 2 * (plane.normal @ middle - plane.offset_mm) * plane.normal
    apart = ball(scan, across, 11.0)
    hu = np.where(inside | apart, np.float32(65), scan.hu)
    return *seen(replace(scan, hu=hu), head), inside, apart


def test_blood_counts_where_it_is_in_the_infarct_and_nowhere_else(
    bleeding: tuple[Scan, Head, np.ndarray, np.ndarray], found: VolumetryResult
) -> None:
    scan, head, inside, apart = bleeding
    blood = find_hemorrhage(scan, head, detector_of(60, 70))
    result = measure_followup(scan, head, volumetry_of(*RANGES), blood)
    late, ml = result.followup, volume_ml(inside, scan.geometry)
    assert blood.hemorrhage.suspected
    assert blood.hemorrhage.volume_ml == pytest.approx(ml + volume_ml(apart, scan.geometry), rel=0.06)
    assert late.hemorrhage_ml == pytest.approx(ml, rel=0.06)
    assert late.volume_ml == pytest.approx(found.followup.volume_ml, rel=0.02)
    assert late.volume_ml == pytest.approx(late.without_blood_ml + late.hemorrhage_ml)
    assert "3a" in late.heidelberg
    assert late.heidelberg[0] == "1c"
    assert late.mean_hu == pytest.approx(27, abs=1)
    labels = label_map(result)
    assert dice(labels == 4, inside) > 0.9
    assert not (labels[apart] == 4).any()
    assert not (result.marks.masks & result.marks.blood).any()


def test_blood_beside_the_infarct_counts_up_to_5_mm() -> None:
    geometry = Geometry.regular((3, 40, 60), (5.0, 1.0, 1.0))
    infarct = np.zeros(geometry.shape_zyx, dtype=bool)
    infarct[:, 5:35, 5:20] = True
    types = np.zeros(geometry.shape_zyx, dtype=np.uint8)
    types[1, 5:10, 24:30] = 1  # its first column lies 5 mm from the last of the infarct
    types[1, 20:25, 25:30] = 1  # 6 mm
    types[1, 30:33, 10:15] = 2  # in it, but in a ventricle
    got = blood_of_infarct(types, infarct, geometry)
    assert got[1, 5:10, 24:30].all()
    assert got.sum() == 30
    assert not blood_of_infarct(types, np.zeros_like(infarct), geometry).any()


def test_an_old_infarct_as_dark_as_fluid_is_left_out_and_a_severe_one_is_not(
    left_patient: PlainPatient, left_head: Head
) -> None:
    everything = ((2.0, 22.0), (20.0, 28.0), (26.0, 31.0))
    volumes = []
    for infarct_hu in (9.0, 18.0):
        scan, head = painted(left_patient, left_head, infarct_hu=infarct_hu)
        head = replace(head, fluid=np.zeros_like(head.fluid))
        old = ndimage.distance_transform_edt(head.hu < infarct_hu + 6) > 1
        result = measure_followup(scan, head, volumetry_of(*everything), find_by_rule(head), old=old)
        volumes.append((result.followup.volume_ml, result.marks.old_ml))
    (dark_ml, dark_old_ml), (severe_ml, severe_old_ml) = volumes
    assert dark_old_ml > 0.5 * severe_ml
    assert dark_ml < 0.5 * severe_ml
    assert severe_old_ml == 0


def test_nothing_marked_is_an_empty_answer(case: tuple[Scan, Head], blood: HemorrhageResult) -> None:
    result = measure_followup(*case, volumetry_of((1, 2), (1, 2), (1, 2)), blood)
    late = result.followup
    assert (late.volume_ml, late.side, late.mean_hu, late.heidelberg) == (0, "none", None, ())
    assert not label_map(result).any()


def test_a_single_network_tells_no_degrees(case: tuple[Scan, Head], blood: HemorrhageResult) -> None:
    config = replace(VOLUMETRY, outputs=("single",), thresholds=(0.5,), least_ml=(0.0,))
    result = measure_followup(*case, volumetry_of((20, 31), config=config), blood)
    late = result.followup
    assert (late.severe_ml, late.intermediate_ml, late.subtle_ml) == (None, None, None)
    assert late.volume_ml > 10
    assert set(np.unique(label_map(result))) == {0, 2}  # 27 HU are intermediate


IN_BOXES = replace(
    VOLUMETRY,
    input=replace(VOLUMETRY.input, mirror=True),
    outputs=("single",),
    thresholds=(0.5,),
    least_ml=(0.0,),
    tile_zyx=(8, 96, 80),
)


def test_in_boxes_the_infarct_is_in_the_same_place(
    case: tuple[Scan, Head], blood: HemorrhageResult, found: VolumetryResult
) -> None:
    """Boxes that overlap, run both ways; and in the mirror all of it is on the other side."""
    result = measure_followup(*case, volumetry_of((20.0, 31.0), config=IN_BOXES), blood)
    assert result.followup.side == "left"
    assert dice(label_map(result) > 0, label_map(found) > 0) > 0.99
    scan, head = mirrored_patient(*case)
    other = measure_followup(scan, head, volumetry_of((20.0, 31.0), config=IN_BOXES), find_by_rule(head))
    assert other.followup.side == "right"
    assert np.mean((label_map(other) > 0)[..., ::-1] != (label_map(result) > 0)) < 1e-4


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize(("logit", "marked"), [(4.0, True), (-4.0, False)])
def test_a_3d_network_runs_from_its_file(
    engine: str, logit: float, marked: bool, case: tuple[Scan, Head], blood: HemorrhageResult, tmp_path: Path
) -> None:
    """It marks all of the region, or nothing."""
    path = save_weights(unet_weights(logit=logit), tmp_path / "unet.safetensors")
    volumetry = load_volumetry(path, device="cpu", engine=engine, cache=tmp_path, threads=1)
    result = measure_followup(*case, volumetry, blood)
    region = followup_region(*case, result.marks.picture.hu, result.marks.picture.geometry)
    np.testing.assert_array_equal(result.marks.masks[0], region & marked)


def test_an_open_skull_is_refused(case: tuple[Scan, Head], blood: HemorrhageResult) -> None:
    scan, head = case
    with pytest.raises(StepFailed, match="skull is missing or open"):
        measure_followup(scan, replace(head, skull_closed=False), volumetry_of(*RANGES), blood)
    stripped = replace(scan, flags=(Flag("skull_stripped", "info", "Brain only."),))
    assert measure_followup(stripped, replace(head, skull_closed=False), volumetry_of(*RANGES), blood)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_made_weights_run_from_their_file(
    engine: str, case: tuple[Scan, Head], blood: HemorrhageResult, found: VolumetryResult, tmp_path: Path
) -> None:
    """They see means over some pixels, so the outline is coarser; the place is the same."""
    path = save_weights(dark_weights((20.0, 29.0, 31.0)), tmp_path / "dark.safetensors")
    volumetry = load_volumetry(path, device="cpu", engine=engine, cache=tmp_path, threads=1)
    result = measure_followup(*case, volumetry, blood)
    assert dice(label_map(result) > 0, label_map(found) > 0) > 0.8
    assert result.followup.side == "left"
    assert result.followup.severe_ml == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": ["severe", "subtle", "intermediate"]},
        {"outputs": ["severe"]},
        {"thresholds": [0.5, 0.5]},
        {"thresholds": [0.5, 0.5, 0.0]},
        {"thresholds": [0.5, 0.5, 1.5]},
        {"least_ml": [0.0, 0.0, -1.0]},
        {"smooth_mm": float("nan")},
        {"input": {"name": "x"}},
        {"calibrated_on": None, "smooth_mm": "wide"},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    weights = dark_weights()
    stored, network = dict(weights.settings), dict(weights.network_config)
    assert config_of(stored, network).outputs == ("severe", "intermediate", "subtle")
    with pytest.raises(BadRequest):
        config_of({**stored, **wrong}, network)
    with pytest.raises(BadRequest, match="do not fit their network"):
        config_of(stored, {**network, "images": 2})
