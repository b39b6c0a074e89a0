"""Localize on an engine whose answers are known: places, sides, slices, the map; and on a tiny network."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest, StepFailed
from infarct.findings import Localization
from infarct.networks.transfer import infarct_logits as oracle_logits
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.tile_input import tile_centres_mm, tile_grid, tile_shares
from infarct.systems.localize import (
    BATCH,
    CUT,
    LocalizeResult,
    config_of,
    infarct_logits,
    judge,
    load_localizer,
    localize,
    picture_of,
    probability_map,
)
from infarct.volume import Geometry, Scan, Source, resample, resample_mask
from infarct.volume.scan import SliceReference
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.systems.tiny_localizer import CONFIG, dark_localizer, flat_patient, tiny_weights

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def patient(left_patient: PlainPatient) -> PlainPatient:
    return flat_patient(left_patient)


@pytest.fixture(scope="module")
def found(patient: PlainPatient, left_head: Head) -> LocalizeResult:
    return localize(patient.scan, left_head, dark_localizer())


def centres_mm(found: Localization, geometry: Geometry) -> np.ndarray:
    """Return the middles of the patches, as a reader of the findings places them in the scan."""
    return geometry.index_to_world(
        [
            (patch.slice_index, patch.row + (patch.size_px - 1) / 2, patch.column + (patch.size_px - 1) / 2)
            for patch in found.patches
        ]
    )


def share_inside(points_mm: np.ndarray, patient: PlainPatient) -> float:
    """Return which part of the points lies in the true infarct."""
    index = np.rint(patient.scan.geometry.world_to_index(points_mm)).astype(int)
    return float(patient.truth.infarct[tuple(index.T)].mean())


def test_marked_tiles_lie_in_the_infarct_on_its_side(patient: PlainPatient, found: LocalizeResult) -> None:
    answer = found.localization
    assert answer.method == "vgg16"
    assert len(answer.patches) == found.marked.sum() > 40
    assert share_inside(centres_mm(answer, patient.scan.geometry), patient) > 0.85
    assert {patch.side for patch in answer.patches if patch.probability > 0.9} == {"left"}
    assert answer.lesion_side == "left"
    assert all(0.5 <= patch.probability <= 1 for patch in answer.patches)
    assert {patch.size_px for patch in answer.patches} == {8}


def test_key_slices_have_the_most_evidence(found: LocalizeResult) -> None:
    answer = found.localization
    sums = dict.fromkeys((patch.slice_index for patch in answer.patches), 0.0)
    for patch in answer.patches:
        sums[patch.slice_index] += patch.probability
    assert len(answer.key_slices) == 3
    assert [sums[k] for k in answer.key_slices] == sorted(sums.values(), reverse=True)[:3]


def test_nothing_marked_is_an_empty_answer(patient: PlainPatient, left_head: Head) -> None:
    quiet = localize(patient.scan, left_head, dark_localizer(bias=-200.0))
    assert quiet.localization == Localization(method="vgg16", patches=(), lesion_side="none", key_slices=())
    assert not quiet.marked.any()
    assert len(quiet.places) > 500
    assert probability_map(quiet, patient.scan.geometry, brain_of(patient, left_head)).max() < 1e-6


def brain_of(patient: PlainPatient, head: Head) -> np.ndarray:
    return resample_mask(head.brain, head.geometry, patient.scan.geometry)


def test_a_temperature_a_bias_and_a_bound_make_the_call(patient: PlainPatient, left_head: Head) -> None:
    plain = dark_localizer()
    picture = picture_of(patient.scan, left_head, plain)
    places = tile_grid(picture)[400:420]
    probability = judge(picture, places, plain)
    logit = np.log(probability / (1 - probability))
    expected = 1 / (1 + np.exp(-(logit / 2 + 0.3)))
    np.testing.assert_allclose(judge(picture, places, dark_localizer(temperature=2.0, bias=0.3)), expected, rtol=1e-5)


def test_tiles_in_any_order_have_their_own_answers(patient: PlainPatient, left_head: Head) -> None:
    """More than are cut at once, from all slices, shuffled."""
    localizer = dark_localizer()
    picture = picture_of(patient.scan, left_head, localizer)
    places = tile_grid(picture)
    assert len(places) > 2 * CUT > BATCH
    order = np.random.default_rng(0).permutation(len(places))
    np.testing.assert_allclose(
        judge(picture, places[order], localizer), judge(picture, places, localizer)[order], rtol=1e-6
    )
    assert judge(picture, places[:0], localizer).shape == (0,)


def test_an_overlap_of_half_gives_four_times_the_tiles(
    patient: PlainPatient, left_head: Head, found: LocalizeResult
) -> None:
    finer = localize(patient.scan, left_head, dark_localizer(overlap=0.5))
    assert len(finer.places) == pytest.approx(4 * len(found.places), rel=0.05)
    assert finer.localization.lesion_side == "left"
    shared = {tuple(place): p for place, p in zip(finer.places.tolist(), finer.probabilities, strict=True)}
    mine = [shared[tuple(place)] for place in found.places.tolist()]
    np.testing.assert_allclose(mine, found.probabilities, rtol=1e-5)


def mirrored_scan(scan: Scan) -> Scan:
    """Return the scan of the mirrored patient: x changes its sign."""
    geometry, columns = scan.geometry, scan.geometry.size_yx[1]
    last = geometry.origins_mm + (columns - 1) * geometry.pixel_spacing_mm_yx[1] * geometry.x_direction
    return replace(
        scan, hu=scan.hu[..., ::-1], geometry=replace(geometry, origins_mm=last * np.array([-1.0, 1.0, 1.0]))
    )


def mirrored_head(head: Head) -> Head:
    last = (
        head.geometry.origins_mm
        + (head.geometry.size_yx[1] - 1) * head.geometry.pixel_spacing_mm_yx[1] * head.geometry.x_direction
    )
    plane, registration = head.midplane, head.registration
    return replace(
        head,
        geometry=replace(head.geometry, origins_mm=last * np.array([-1.0, 1.0, 1.0])),
        brain=head.brain[..., ::-1],
        territories=head.territories[..., ::-1],
        midplane=Midplane(plane.normal * np.array([1.0, -1.0, -1.0]), -plane.offset_mm),
        registration=replace(registration, scan_to_atlas=MIRROR @ registration.scan_to_atlas @ MIRROR),
    )


def test_a_mirrored_patient_has_mirrored_tiles(patient: PlainPatient, left_head: Head) -> None:
    scan = patient.scan
    whole = scan.geometry.size_yx[1] // 8 * 8  # so that the grid of tiles is its own mirror image
    box = (slice(0, len(scan.hu)), slice(0, scan.geometry.size_yx[0]), slice(3, 3 + whole))
    scan = replace(scan, hu=scan.hu[box], geometry=scan.geometry.cropped(box))
    one = localize(scan, left_head, dark_localizer())
    other = localize(mirrored_scan(scan), mirrored_head(left_head), dark_localizer())
    across = {(patch.slice_index, patch.row, whole - 8 - patch.column): patch for patch in other.localization.patches}
    assert other.localization.lesion_side == "right"
    assert set(other.localization.key_slices) == set(one.localization.key_slices)
    assert across.keys() == {(patch.slice_index, patch.row, patch.column) for patch in one.localization.patches}
    for patch in one.localization.patches:
        twin = across[patch.slice_index, patch.row, patch.column]
        assert twin.side != patch.side
        assert twin.probability == pytest.approx(patch.probability, rel=1e-3)
        assert (twin.territory, twin.region, twin.area) == (patch.territory, patch.region, patch.area)


def thin_and_tilted(patient: PlainPatient, spacing_mm: float, tilt_deg: float) -> Scan:
    """Return the patient on slices that lean, as on a tilted gantry: the table moves along z."""
    lean = np.radians(tilt_deg)
    base = patient.scan.geometry
    length = float(np.ptp(base.slice_positions_mm))
    steps = np.arange(int(length / spacing_mm)) * spacing_mm / np.cos(lean)
    back = np.array([0.0, np.cos(lean), np.sin(lean)])
    middle = base.index_to_world((np.array(base.shape_zyx) - 1) / 2)
    first = middle - (base.size_yx[1] - 1) / 2 * base.x_direction - (base.size_yx[0] - 1) / 2 * back
    origins = first + (steps - steps.mean())[:, None] * np.array([0.0, 0.0, 1.0])
    geometry = Geometry(origins, base.x_direction, back, base.pixel_spacing_mm_yx, base.size_yx)
    slices = tuple(SliceReference(f"1.2.{k}") for k in range(len(origins)))
    return Scan(
        resample(patient.scan.hu, base, geometry), geometry, source=Source("dicom", series_uid="1.2", slices=slices)
    )


@pytest.mark.parametrize(("spacing_mm", "tilt_deg"), [(1.25, 0.0), (5.0, 15.0), (1.25, -12.0)])
def test_thin_and_tilted_slices_keep_their_places(
    patient: PlainPatient, left_head: Head, spacing_mm: float, tilt_deg: float
) -> None:
    scan = thin_and_tilted(patient, spacing_mm, tilt_deg)
    assert abs(scan.geometry.tilt_deg - abs(tilt_deg)) < 0.1
    found = localize(scan, left_head, dark_localizer())
    answer = found.localization
    assert answer.lesion_side == "left"
    assert share_inside(centres_mm(answer, scan.geometry), patient) > 0.8
    away = centres_mm(answer, scan.geometry) - tile_centres_mm(found.picture, found.places[found.marked])
    assert np.linalg.norm(away, axis=1).max() <= 1.25  # a slab has its middle between two slices, or in one
    patch = answer.patches[0]
    assert patch.sop_uid_hash == hashlib.sha256(f"1.2.{patch.slice_index}".encode()).hexdigest()[:16]
    drawn = probability_map(found, scan.geometry, resample_mask(left_head.brain, left_head.geometry, scan.geometry))
    high = scan.geometry.index_to_world(np.argwhere(drawn > 0.6))
    assert share_inside(high, patient) > 0.8


def test_the_map_has_each_tile_in_its_slice(patient: PlainPatient, left_head: Head, found: LocalizeResult) -> None:
    brain = brain_of(patient, left_head)
    drawn = probability_map(found, patient.scan.geometry, brain)
    assert drawn.dtype == np.float32
    assert drawn.shape == brain.shape
    assert not drawn[~brain].any()
    assert 0 <= drawn.min() <= drawn.max() <= 1
    one = int(np.flatnonzero(found.marked)[0])
    alone = replace(found, places=found.places[one : one + 1], probabilities=np.array([0.75]))
    lit = probability_map(alone, patient.scan.geometry, np.ones_like(brain))
    k, row, column = found.places[one]
    assert np.unique(np.nonzero(lit)[0]).tolist() == [k]
    rows, columns = np.nonzero(lit[k])
    assert rows.mean() == pytest.approx(row + 3.5)
    assert columns.mean() == pytest.approx(column + 3.5)
    np.testing.assert_allclose(lit[k][lit[k] > 0], 0.75, rtol=1e-6)


def test_between_two_tiles_the_map_is_their_mean(found: LocalizeResult) -> None:
    pair = replace(found, places=np.array([[2, 40, 40], [2, 40, 48]]), probabilities=np.array([0.2, 0.8]))
    geometry = found.picture.geometry
    lit = probability_map(pair, geometry, np.ones(geometry.shape_zyx, dtype=bool))[2]
    middle = lit[43, 47:49]  # the edge between the tiles lies between these two pixels
    assert middle.mean() == pytest.approx(0.5, abs=1e-6)
    assert middle[0] < 0.5 < middle[1]
    assert lit[43, 43] < 0.3


def test_the_logit_is_the_networks_own() -> None:
    outputs = np.random.default_rng(0).normal(0, 30, (200, 2)).astype(np.float32)
    expected = oracle_logits(torch.from_numpy(outputs.astype(np.float64))).numpy()
    np.testing.assert_allclose(infarct_logits(outputs), expected, atol=1e-8)  # torch rounds beyond 20


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_tiny_network_runs_from_its_file(
    engine: str, patient: PlainPatient, left_head: Head, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    path = save_weights(tiny_weights(), folder / "tiny.safetensors")
    localizer = load_localizer(path, device="cpu", engine=engine, cache=folder, threads=1)
    picture = picture_of(patient.scan, left_head, localizer)
    places = tile_grid(picture)[::9][:70]
    probability = judge(picture, places, localizer)
    oracle = load_localizer(path, device="cpu", engine="torch", threads=1)
    np.testing.assert_allclose(probability, judge(picture, places, oracle), atol=1e-5)
    assert probability.std() > 1e-4
    assert localizer.config == replace(CONFIG, input=replace(CONFIG.input, size_px=32))


def test_settings_that_do_not_fit_are_refused() -> None:
    weights = tiny_weights()
    stored, network = dict(weights.settings), dict(weights.network_config)
    assert config_of(stored, network).whole_threshold == 0.5
    for wrong in ({"temperature": 0.0}, {"bias": float("nan")}, {"whole_threshold": 1.5}, {"threshold": 0.0}):
        with pytest.raises(BadRequest, match="out of range"):
            config_of(stored | wrong, network)
    for wrong in ({"input": {}}, {"temperature": "hot"}, {"input": stored["input"] | {"grey": "green"}}):
        with pytest.raises(BadRequest, match="lack a setting"):
            config_of(stored | wrong, network)
    for size in ({"in_channels": 1}, {"size_px": 48}):
        with pytest.raises(BadRequest, match="do not fit"):
            config_of(stored, network | size)


def test_a_scan_without_brain_fails_as_a_step(patient: PlainPatient, left_head: Head) -> None:
    nothing = replace(left_head, brain=np.zeros_like(left_head.brain))
    with pytest.raises(StepFailed, match="no brain"):
        localize(patient.scan, nothing, dark_localizer())
    speck = np.zeros_like(left_head.brain)
    z, y, x = (size // 2 for size in speck.shape)
    speck[z - 2 : z + 3, y : y + 3, x : x + 3] = True
    with pytest.raises(StepFailed, match="no tile"):
        localize(patient.scan, replace(left_head, brain=speck), dark_localizer())


def test_tiles_agree_with_the_true_infarct(patient: PlainPatient, found: LocalizeResult) -> None:
    shares = tile_shares(patient.truth.infarct, found.places, 8)
    full, free = found.probabilities[shares > 0.9], found.probabilities[shares == 0]
    assert (full >= 0.5).mean() > 0.8
    assert (free >= 0.5).mean() < 0.02
