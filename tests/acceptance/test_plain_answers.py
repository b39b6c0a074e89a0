"""A plain head's truth against what the asymmetry baseline answers."""

import numpy as np
import pytest

from infarct.findings import Analysis
from infarct.pipeline import analyze
from plain_head import PlainPatient, PlainSetup, make_plain_patient

LESION_SEEDS = range(4)
HEALTHY_SEEDS = range(100, 110)


def answer(seed: int, *, healthy: bool) -> tuple[PlainPatient, Analysis]:
    patient = make_plain_patient(seed, PlainSetup(pixel_spacing_mm=0.9, healthy=healthy))
    return patient, analyze(patient.scan)


@pytest.mark.parametrize("seed", LESION_SEEDS)
def test_side_and_most_regions_of_the_lesion_are_found(seed: int) -> None:
    patient, analysis = answer(seed, healthy=False)
    aspects, infarct, truth = analysis.findings.aspects, analysis.findings.infarct, patient.truth
    assert aspects is not None
    assert infarct is not None
    assert aspects.side == infarct.lesions[0].side == truth.side
    found = {region.region for region in aspects.regions if region.affected and region.side == truth.side}
    assert len(found & set(truth.affected_regions)) > len(truth.affected_regions) / 2
    assert not [region for region in aspects.regions if region.affected and region.side != truth.side]
    assert analysis.findings.quality.verdict == "ok"


def test_found_voxels_lie_in_the_true_lesion() -> None:
    patient, analysis = answer(3, healthy=False)
    found, true = analysis.maps.infarct, patient.truth.infarct
    assert found is not None
    assert (found & true).sum() > 0.8 * found.sum()
    areas, true_areas = found.sum(axis=(1, 2)), true.sum(axis=(1, 2))
    assert areas[true_areas > 0].sum() > 0.95 * areas.sum()
    levels = np.arange(len(areas))
    assert abs(np.average(levels, weights=areas) - np.average(levels, weights=true_areas)) < 0.5  # slices


@pytest.mark.slow
def test_healthy_heads_score_ten() -> None:
    scores = []
    for seed in HEALTHY_SEEDS:
        _, analysis = answer(seed, healthy=True)
        assert analysis.findings.aspects is not None
        scores.append(analysis.findings.aspects.score)
    assert scores.count(10) >= 9


def test_a_healthy_head_scores_ten() -> None:
    _, analysis = answer(HEALTHY_SEEDS[0], healthy=True)
    assert analysis.findings.aspects is not None
    assert analysis.findings.aspects.score == 10
    assert analysis.findings.aspects.side == "none"


def test_same_patient_same_findings() -> None:
    _, first = answer(1, healthy=False)
    _, second = answer(1, healthy=False)
    assert first.findings.model_copy(update={"timings_s": {}}) == second.findings.model_copy(update={"timings_s": {}})


def test_the_reflection_of_the_maps_is_that_of_the_head() -> None:
    patient, analysis = answer(2, healthy=True)
    reflection = analysis.maps.reflection
    assert reflection is not None
    np.testing.assert_allclose(reflection @ reflection, np.eye(4), atol=1e-9)
    atlas_to_scan = np.linalg.inv(patient.truth.scan_to_atlas)
    middle = np.array([[0.0, y, z, 1.0] for y in (-60, 0, 50) for z in (-10, 20, 50)]) @ atlas_to_scan.T
    assert np.linalg.norm((middle @ reflection.T - middle)[:, :3], axis=1).max() < 4.0  # twice the error of the plane
    left = atlas_to_scan @ [40.0, 0.0, 20.0, 1.0]
    assert (reflection @ left)[0] < middle[:, 0].mean() < left[0]
