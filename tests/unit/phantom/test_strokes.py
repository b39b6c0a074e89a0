from functools import cache

import numpy as np
import pytest

from infarct.phantom.draws import Quantiles
from infarct.phantom.individuals import SITE_ML
from infarct.phantom.ischemia import VESSEL_HU
from infarct.phantom.kinetics import FOGGING_H, drop_hu
from infarct.phantom.patient import Patient, Preset, Stroke
from infarct.phantom.populations import POPULATIONS, StrokeClass
from infarct.phantom.presets import draw
from infarct.phantom.strokes import class_at, largest_ml, site_weights

WITH_STROKE: tuple[Preset, ...] = ("hyperacute", "aspects", "acute", "followup")


@cache
def patients(preset: Preset) -> tuple[Patient, ...]:
    return tuple(draw(preset, index) for index in range(300))


def strokes(preset: Preset) -> list[Stroke]:
    return [patient.stroke for patient in patients(preset) if patient.stroke is not None]


def test_one_number_gives_the_class_and_the_place_in_it() -> None:
    # Severe 67, intermediate 204, subtle 125 of 396.
    population = POPULATIONS["followup"]
    for patient, severity, place in ((0, "severe", 0.0), (67, "intermediate", 0.0), (169, "intermediate", 0.5)):
        kind, found = class_at(population, (patient + 1e-6) / 396)
        assert kind.severity == severity
        assert found == pytest.approx(place, abs=1e-6)
    assert class_at(population, 1.0)[1] == pytest.approx(1.0)


def test_large_infarcts_bleed_more_often() -> None:
    bled = [stroke.hemorrhage_ml > 0 for stroke in strokes("followup")]
    large = [stroke.final_ml > 48 for stroke in strokes("followup")]
    rates = [
        np.mean([b for b, is_large in zip(bled, large, strict=True) if is_large is size]) for size in (True, False)
    ]
    assert rates[0] > 1.3 * rates[1]


def test_a_site_without_room_for_large_infarcts_is_taken_more_often_for_small_ones() -> None:
    # Volumes uniform over 0-140 ml: half of them fit into the 70 ml of an ACA, all into an M1.
    kind = StrokeClass(1.0, Quantiles(((0.0, 0.0), (1.0, 140.0))), {"ACA": 0.2, "M1": 0.8})
    assert site_weights(kind, 10.0) == pytest.approx({"ACA": 0.4, "M1": 0.6})
    assert site_weights(kind, 100.0) == pytest.approx({"ACA": 0.0, "M1": 1.0})


@pytest.mark.parametrize("preset", WITH_STROKE)
def test_site_weights_are_weights_for_every_volume(preset: str) -> None:
    for kind in POPULATIONS[preset].classes:
        assert sum(kind.sites.values()) == pytest.approx(1.0)
        for share in np.linspace(0, 1, 101):
            weights = site_weights(kind, kind.volume_ml(float(share)))
            assert min(weights.values()) >= 0
            assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("preset", WITH_STROKE)
def test_volumes_fit_the_territory(preset: Preset) -> None:
    for stroke in strokes(preset):
        assert max(stroke.core_ml, stroke.infarct_ml) <= largest_ml(stroke.site, stroke.cortical) + 0.001
        assert stroke.final_ml <= SITE_ML[stroke.site]
        assert min(stroke.core_ml, stroke.infarct_ml, stroke.final_ml) > 0


@pytest.mark.parametrize("preset", WITH_STROKE)
def test_volumes_agree_with_each_other(preset: Preset) -> None:
    for stroke in strokes(preset):
        ratio = stroke.infarct_ml / stroke.core_ml
        if stroke.reperfused:
            assert 0.9 < ratio <= 3.001
        else:
            assert 0.7 < ratio < 1.25
        threatened = max(stroke.core_ml + stroke.penumbra_ml, stroke.infarct_ml)
        assert stroke.final_ml <= 1.5 * threatened
        assert stroke.final_ml >= 0.6 * min(stroke.core_ml, stroke.infarct_ml)
        assert stroke.hemorrhage_ml <= 0.35 * stroke.final_ml + 0.001


def test_reperfused_infarcts_outgrow_what_perfusion_shows() -> None:
    reperfused = [s.infarct_ml / s.core_ml for p in WITH_STROKE for s in strokes(p) if s.reperfused]
    assert np.median(reperfused) > 1.3
    assert all(stroke.reperfusion_factor == 1 for stroke in strokes("aspects") if not stroke.reperfused)
    assert all(0.2 <= stroke.reperfusion_factor <= 1 for stroke in strokes("aspects"))


def test_uptake_has_median_1_and_varies_by_half() -> None:
    uptake = [stroke.uptake for preset in ("aspects", "followup") for stroke in strokes(preset)]
    assert np.median(uptake) == pytest.approx(1.0, abs=0.06)
    assert np.std(uptake) / np.mean(uptake) == pytest.approx(0.48, abs=0.06)


def test_hyperacute_scans_could_be_read_as_negative() -> None:
    for patient in patients("hyperacute"):
        stroke = patient.stroke
        if stroke is not None and patient.stratum["size"] == ">1.5 cm":
            assert drop_hu(stroke.onset_h, stroke, 33.6) <= 5.01


def test_collaterals_are_worse_with_large_infarcts() -> None:
    core = np.array([stroke.core_ml for stroke in strokes("aspects")])
    collaterals = np.array([stroke.collaterals for stroke in strokes("aspects")])
    assert collaterals[core > 44].mean() + 0.2 < collaterals[core < 9.2].mean()
    assert collaterals.mean() == pytest.approx(0.5, abs=0.06)


def test_only_infarcts_of_the_second_week_fog_and_none_that_is_still_severe() -> None:
    for preset in WITH_STROKE:
        for patient, stroke in zip(patients(preset), strokes(preset), strict=True):
            due = FOGGING_H[0] <= stroke.followup_h <= FOGGING_H[2] and patient.stratum.get("severity") != "severe"
            assert (0.3 <= stroke.fogging <= 1) if due else stroke.fogging == 0


def test_clots_are_denser_than_blood_and_sit_in_large_arteries() -> None:
    dense = [stroke for stroke in strokes("aspects") if stroke.hyperdense_hu > 0]
    assert 0.3 < len(dense) / 300 < 0.55
    clots_hu = [VESSEL_HU + stroke.hyperdense_hu for stroke in dense]
    assert min(clots_hu) >= 58
    assert max(clots_hu) <= 80
