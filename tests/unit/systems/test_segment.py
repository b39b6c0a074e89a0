"""The segmentation system on an engine whose answers are known: sides, stages, volumes, calibration."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.pipeline import Models, analyze, prepare_head
from infarct.preprocess.head import Head
from infarct.preprocess.segment_input import EVERYDAY, PAPER
from infarct.systems.segment import (
    SegmentConfig,
    Segmenter,
    SegmentMaps,
    calibrated,
    config_of,
    drawn_on,
    interpret,
    load_segmenter,
    masks,
    on_geometry,
    predict,
    prepare,
    segment,
)
from infarct.types import Float32Array
from infarct.weights import WeightSet
from plain_head import PlainPatient, make_plain_patient

CONFIG = SegmentConfig(
    input=EVERYDAY,
    tile_zyx=(16, 64, 64),
    temperature=(1.0, 1.0),
    threshold=(0.5, 0.5),
    minimum_ml=0.5,
    calibrated_on="phantoms",
)


class DarkSide:
    """An engine that calls acute what is darker than its mirror image by a quarter unit, and old what is fluid."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, batch: Float32Array) -> Float32Array:
        darker = batch[:, 1] - batch[:, 0] - 0.25
        fluid = -0.9 - batch[:, 0] - 5.0 * (batch[:, 0] < -1.2)
        return np.stack([40 * darker, 10 * fluid], axis=1).astype(np.float32)


def segmenter(config: SegmentConfig = CONFIG) -> Segmenter:
    weights = WeightSet("segment", "fake", "se_res_unet", {}, {}, {"a": np.zeros(1, np.float16)}, {})
    return Segmenter(weights, DarkSide(), config)


@pytest.fixture(scope="module")
def patient() -> PlainPatient:
    return make_plain_patient(3)


@pytest.fixture(scope="module")
def head(patient: PlainPatient) -> Head:
    return prepare_head(patient.scan)


def test_the_lesion_is_on_its_side_with_its_volume(patient: PlainPatient, head: Head) -> None:
    found = segment(patient.scan, head, segmenter())
    lesion = found.infarct.lesions[0]
    true_ml = float(patient.truth.infarct.sum(axis=(1, 2)) @ patient.scan.geometry.slice_voxel_ml)
    assert lesion.side == patient.truth.side
    assert lesion.volume_ml == pytest.approx(true_ml, rel=0.4)
    assert lesion.stage == "acute"
    assert lesion.probability is not None
    assert 0.5 < lesion.probability <= 1
    assert not (found.infarct_mask & ~head.brain).any()


def test_the_papers_setting_reads_the_scans_own_slices(patient: PlainPatient, head: Head) -> None:
    prepared = prepare(patient.scan, head, PAPER)
    assert prepared.geometry.spacing_mm_zyx == pytest.approx(patient.scan.geometry.spacing_mm_zyx)
    assert prepared.channels.shape[0] == 1
    assert prepared.channels.min() == 0.0
    assert prepared.channels.max() == 1.0


def test_the_pipeline_takes_infarcts_from_the_network(patient: PlainPatient) -> None:
    analysis = analyze(patient.scan, models=Models(segment=segmenter()))
    findings = analysis.findings
    assert findings.infarct is not None
    assert findings.infarct.method == "se_res_unet"
    assert findings.provenance.weights[0].system == "segment"
    assert findings.provenance.config["segment"]["threshold"] == (0.5, 0.5)
    assert analysis.maps.infarct_probability is not None
    assert analysis.maps.infarct_probability.shape == patient.scan.geometry.shape_zyx
    assert "segment" in findings.timings_s


def test_old_and_acute_are_never_both() -> None:
    probabilities = np.zeros((2, 4, 20, 20), dtype=np.float32)
    probabilities[0, :, :10], probabilities[1, :, 5:] = 0.8, 0.9
    acute, old = masks(probabilities, CONFIG, 0.1)
    assert acute.sum() == 4 * 5 * 20
    assert old.sum() == 4 * 15 * 20
    assert not (acute & old).any()


def test_small_pieces_are_dropped() -> None:
    probabilities = np.zeros((2, 3, 9, 9), dtype=np.float32)
    probabilities[0, 1, 1:3, 1:3] = 0.9  # four voxels
    probabilities[0, 1, 5:8, 5:8] = 0.9  # nine
    acute, _ = masks(probabilities, replace(CONFIG, minimum_ml=0.05), 0.01)
    assert acute.sum() == 9


def test_a_lesion_that_may_be_old_is_undetermined(patient: PlainPatient, head: Head) -> None:
    maps = predict(prepare(patient.scan, head, EVERYDAY), segmenter())
    probabilities = np.zeros_like(maps.probabilities)
    middle = tuple(size // 2 for size in probabilities.shape[1:])
    block = tuple(slice(m - 3, m + 4) for m in middle)
    probabilities[(0, *block)], probabilities[(1, *block)] = 0.8, 0.5
    found = interpret(replace(maps, probabilities=probabilities), head, CONFIG)
    assert [lesion.stage for lesion in found.infarct.lesions] == ["undetermined"]


@pytest.mark.parametrize(("darker", "stage"), [(0.25, "acute"), (0.35, "undetermined")])
def test_a_lesion_too_dark_for_a_day_is_undetermined(
    patient: PlainPatient, head: Head, darker: float, stage: str
) -> None:
    """An acute infarct takes up 16 to 26 % of water in a day; one that took up more is older."""
    maps = predict(prepare(patient.scan, head, EVERYDAY), segmenter())
    probabilities = np.zeros_like(maps.probabilities)
    z, y, x = (size // 2 for size in probabilities.shape[1:])
    probabilities[0, z - 2 : z + 3, y - 8 : y + 8, x + 12 : x + 24] = 0.9
    maps = replace(maps, probabilities=probabilities)
    piece = masks(on_geometry(maps, head.geometry) * head.brain, CONFIG, float(head.geometry.slice_voxel_ml[0]))[0]
    hu = np.where(piece, (1 - darker) * head.mirrored_hu, head.hu)
    found = interpret(maps, replace(head, hu=hu), CONFIG)
    assert [lesion.stage for lesion in found.infarct.lesions] == [stage]
    assert found.infarct.lesions[0].net_water_uptake_pct == pytest.approx(100 * darker, abs=2)


def test_the_answer_is_cut_on_the_scans_own_grid(patient: PlainPatient, head: Head) -> None:
    """Of a network that is right voxel by voxel nothing is lost on the way back, but pieces that are too small."""
    geometry, truth = patient.scan.geometry, patient.truth.infarct & patient.truth.intracranial
    probabilities = np.stack([truth, np.zeros_like(truth)]).astype(np.float32)
    probabilities[0, 3, 4:6, 4:6] = 1.0  # outside the head
    result = interpret(SegmentMaps(probabilities, geometry), head, CONFIG)
    drawn = drawn_on(geometry, result, head)
    overlap = 2 * (drawn.infarct & truth).sum() / (drawn.infarct.sum() + truth.sum())
    assert overlap > 0.99
    assert not drawn.infarct[3, 4:6, 4:6].any()
    assert not drawn.old_infarct.any()


def test_settings_that_do_not_fit_the_outputs_are_refused() -> None:
    stored = {
        "input": asdict(EVERYDAY),
        "tile_zyx": [16, 64, 64],
        "temperature": [1.0],
        "threshold": [0.5, 0.5],
        "minimum_ml": 0.5,
        "calibrated_on": "phantoms",
    }
    assert config_of(stored | {"temperature": [1.0, 1.0]}, outputs=2) == CONFIG
    with pytest.raises(BadRequest, match="each output"):
        config_of(stored, outputs=2)


def test_a_temperature_of_two_halves_the_logit() -> None:
    raw = np.array([[[[0.0, 0.5, 0.9]]]], dtype=np.float32)
    expected = 1 / (1 + np.exp(-np.log(9) / 2))
    np.testing.assert_allclose(calibrated(raw, (2.0,))[0, 0, 0], [0.0, 0.5, expected], rtol=1e-5)


def test_settings_that_lack_something_are_refused() -> None:
    with pytest.raises(BadRequest, match="lack a setting"):
        config_of({"tile_zyx": [1, 2, 3]}, outputs=2)


def test_weights_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BadRequest):
        load_segmenter("no such weights")
