from functools import cache

import numpy as np
import pytest

from infarct.phantom.draws import Stream
from infarct.phantom.individuals import Person, draw_head
from infarct.phantom.patient import Patient
from infarct.phantom.presets import draw


@cache
def patients() -> tuple[Patient, ...]:
    return tuple(draw("mixed", index) for index in range(800))


def column(figure: str) -> np.ndarray:
    part, name = figure.split(".")
    return np.array([getattr(getattr(patient, part), name) for patient in patients()], dtype=np.float64)


@pytest.mark.parametrize(
    ("tissue", "mean", "sd"),
    [("grey", 38.5, 2), ("white", 30.6, 1.5), ("csf", 8.5, 2.5), ("blood", 50, 5), ("bone", 1100, 300)],
)
def test_tissues_have_their_densities(tissue: str, mean: float, sd: float) -> None:
    values = column(f"densities.{tissue}")
    assert values.mean() == pytest.approx(mean, abs=0.2 * sd)
    assert values.std() == pytest.approx(sd, rel=0.2)


def test_grey_matter_is_5_to_9_hu_above_white() -> None:
    contrast = column("densities.grey") - column("densities.white")
    assert contrast.min() >= 5
    assert contrast.max() <= 9.01


def test_ventricles_sulci_and_white_matter_age_together() -> None:
    age, atrophy = column("clinical.age"), column("head.atrophy")
    assert np.corrcoef(age, atrophy)[0, 1] > 0.5
    assert np.corrcoef(atrophy, np.log(column("head.ventricle_ratio")))[0, 1] > 0.4
    assert np.corrcoef(atrophy, column("head.sulcus_mm"))[0, 1] > 0.6
    assert np.corrcoef(age, column("confounders.leukoaraiosis"))[0, 1] > 0.35


@pytest.mark.parametrize(("age", "low_ml", "high_ml"), [(30, 15, 18), (75, 38, 42)])
def test_ventricles_hold_what_they_do_at_an_age(age: float, low_ml: float, high_ml: float) -> None:
    """A ratio of 1 holds about 16 ml."""
    heads = [draw_head(Stream(index, "train", "mixed", "head"), Person(age, "f"), "train") for index in range(1000)]
    volume_ml = 16 * np.array([head.ventricle_ratio for head in heads])
    assert low_ml < np.median(volume_ml) < high_ml
    assert volume_ml.min() >= 10
    assert volume_ml.max() <= 110


def test_chronic_findings_fit_where_they_are() -> None:
    for patient in (*patients(), *(draw("mimics", index) for index in range(300))):
        found = patient.confounders
        assert 4 <= found.leukoaraiosis_hu <= 10
        assert all(lacune.radius_mm <= 4 for lacune in found.lacunes if lacune.place == "pons")
        assert all(bleed.volume_ml <= 35 for bleed in found.bleeds if bleed.kind == "intraventricular")


def test_heads_stay_within_what_the_renderer_takes() -> None:
    assert np.abs(column("head.ventricle_asymmetry")).max() <= 0.4
    assert np.abs(column("confounders.leukoaraiosis_asymmetry")).max() <= 0.6
    for name in ("atrophy", "frontal_sinus", "mastoid_air"):
        values = column(f"head.{name}")
        assert values.min() >= 0
        assert values.max() <= 1


def test_chronic_damage_is_as_common_as_in_the_papers_patients() -> None:
    with_old = [bool(p.confounders.old_infarcts) for i in range(1000) if (p := draw("aspects", i))]
    assert 0.1 < np.mean(with_old) < 0.22
    severe = [draw("aspects", i).confounders.leukoaraiosis > 0.6 for i in range(600)]
    assert 0.04 < np.mean(severe) < 0.25


def test_men_have_larger_heads() -> None:
    size = np.array([np.prod(patient.head.scale_xyz) for patient in patients()])
    male = np.array([patient.clinical.sex == "m" for patient in patients()])
    assert 1.05 < size[male].mean() / size[~male].mean() < 1.18
