"""What presets draw, against what papers print.

Each printed figure has to lie within 10 % over any cohort of 300 that is made, and in the distribution itself.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy import stats

from infarct.phantom import presets
from infarct.phantom.draws import Quantiles, Stream
from infarct.phantom.individuals import AGES, FEMALE, draw_confounders
from infarct.phantom.patient import PRESETS, SPLITS, Confounders, Patient, Preset, Split
from infarct.phantom.populations import ASPECTS, FOLLOWUP, HYPERACUTE, StrokeSource
from infarct.phantom.presets import TEST_SIZES, cohort_digest, digest_of, draw, frozen_cohorts
from infarct.phantom.strokes import Target, class_at, draw_target
from unit.phantom.printed_figures import PRINTED, stroke_of

QUARTERS = (0.25, 0.5, 0.75)
SHARES = (np.arange(4000) + 0.5) / 4000


@cache
def patients(preset: Preset, count: int = 300, split: Split = "train") -> tuple[Patient, ...]:
    return tuple(draw(preset, index, split) for index in range(count))


@cache
def targets(source: StrokeSource) -> tuple[Target, ...]:
    return tuple(draw_target(Stream(index, "train", source, "target"), source) for index in range(8000))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_patient_does_not_depend_on_who_was_drawn_before(preset: Preset) -> None:
    alone = draw(preset, 17)
    assert alone == patients(preset)[17]
    assert alone.digest() == patients(preset)[17].digest()


def test_patients_of_other_indexes_presets_and_splits_differ() -> None:
    drawn = [draw(preset, index, split) for preset in PRESETS for index in (0, 1) for split in SPLITS]
    assert len({patient.head.seed for patient in drawn}) == len(drawn)
    assert len({patient.clinical.age + patient.head.atrophy for patient in drawn}) == len(drawn)


def test_a_draw_added_to_one_part_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    before = draw("aspects", 5)

    def thirsty(stream: Stream, person: object) -> Confounders:
        stream.share()
        return draw_confounders(stream, person)

    monkeypatch.setattr(presets, "draw_confounders", thirsty)
    after = draw("aspects", 5)
    assert after.confounders != before.confounders
    for part in ("head", "densities", "stroke", "treatment", "acute", "followup", "clinical", "stratum"):
        assert getattr(after, part) == getattr(before, part)


@pytest.mark.parametrize(("split", "first"), [("train", 0), ("train", 300), ("test", 0), ("validation", 0)])
@pytest.mark.parametrize("preset", PRINTED)
def test_every_printed_figure_is_within_a_tenth_over_300_patients(preset: Preset, split: Split, first: int) -> None:
    drawn = patients(preset, first + 300, split)[first:]
    found = {row.what: (row.printed, row.drawn(drawn)) for row in PRINTED[preset]}
    assert {what: pair for what, pair in found.items() if abs(pair[1] / pair[0] - 1) > 0.1} == {}


def test_hyperacute_classes_have_the_printed_shares() -> None:
    counts = Counter[str]()
    for kind in HYPERACUTE.classes:
        for value in kind.stratum.values():
            counts[value] += round(517 * kind.weight)
    assert counts == {
        "supratentorial": 428,
        "infratentorial": 89,
        "cortical": 156,
        "subcortical": 204,
        "both": 68,
        "0.5-1.5 cm": 64,
        ">1.5 cm": 453,
    }
    assert HYPERACUTE.onset_h.share_below(6.0) == pytest.approx(355 / 517)
    assert HYPERACUTE.onset_h(1.0) == 12


def test_hyperacute_classes_are_where_and_as_large_as_they_say() -> None:
    for patient in patients("hyperacute"):
        stroke = stroke_of(patient)
        diameter_cm = (6 * stroke.final_ml / np.pi) ** (1 / 3)
        assert (diameter_cm < 1.5) == (patient.stratum["size"] == "0.5-1.5 cm")
        assert (stroke.site in ("basilar", "cerebellar")) == (patient.stratum["region"] == "infratentorial")
        assert patient.stratum.get("area", stroke.cortical) == stroke.cortical
        assert patient.acute.thickness_mm == 5


def test_hyperacute_patients_get_an_mr_within_14_days() -> None:
    days = [(stroke_of(patient).followup_h - stroke_of(patient).onset_h) / 24 for patient in patients("hyperacute")]
    assert max(days) < 14


def test_aspects_distributions_have_the_printed_figures() -> None:
    for kind in ASPECTS.classes:
        assert [kind.volume_ml(share) for share in QUARTERS] == pytest.approx([9.2, 22, 44])
    cores = [kind.volume_ml(place) for kind, place in (class_at(ASPECTS, float(share)) for share in SHARES)]
    assert np.mean(cores) == pytest.approx(28.42, rel=0.1)
    assert np.std(cores) == pytest.approx(30.54, rel=0.1)
    assert [60 * ASPECTS.onset_h(share) for share in QUARTERS] == pytest.approx([210, 270, 360])
    assert [AGES["aspects"](share) for share in QUARTERS] == [63, 72, 81]
    assert FEMALE["aspects"] == 0.391
    sites = Counter(target.site.split("_")[0] for target in targets("aspects"))
    for site, printed in (("ICA", 28.5), ("M1", 49.3), ("M2", 9.2), ("tandem", 11.6)):
        assert 100 * sites[site] / 8000 == pytest.approx(printed, rel=0.1)
    assert sites["ACA"] / 8000 == pytest.approx(0.014, rel=0.05)


def test_aspects_have_a_stratum_at_70_kvp() -> None:
    kvp = Counter(patient.acute.kvp for patient in patients("aspects"))
    assert set(kvp) == {70, 100, 120}
    assert all((patient.acute.kvp == 70) == (patient.stratum["kvp"] == "70") for patient in patients("aspects"))
    assert 0.15 < kvp[70] / 300 < 0.35


def test_acute_infarcts_fill_the_printed_share_of_a_stack() -> None:
    ml = [stroke_of(patient).infarct_ml for patient in patients("acute")]
    assert 60 < np.mean(ml) < 100
    assert min(ml) >= 2
    for patient in patients("acute"):
        assert (patient.acute.thickness_mm, patient.acute.gaps_mm) == (1.0, (0.5,))
        assert 0.38 <= patient.acute.pixel_mm <= 0.5


@pytest.mark.parametrize(
    ("severity", "count", "quartiles", "limits"),
    [
        ("severe", 67, (35, 89, 210), (14, 22)),
        ("intermediate", 204, (18, 46, 101), (22, 32)),
        ("subtle", 125, (11, 29, 86), (32, 44)),
    ],
)
def test_followup_classes(
    severity: str, count: int, quartiles: tuple[int, int, int], limits: tuple[float, float]
) -> None:
    (kind,) = (kind for kind in FOLLOWUP.classes if kind.severity == severity)
    assert kind.weight == pytest.approx(count / 396)
    assert [kind.volume_ml(share) for share in QUARTERS] == pytest.approx(quartiles)
    drawn = [target for target in targets("followup") if target.kind is kind]
    assert len(drawn) / 8000 == pytest.approx(count / 396, rel=0.1)
    mean_hu = [target.mean_hu for target in drawn if target.mean_hu is not None]
    assert len(mean_hu) == len(drawn)
    assert limits[0] <= min(mean_hu)
    assert max(mean_hu) < limits[1]


def test_all_followup_classes_together_have_the_printed_quartiles() -> None:
    assert np.percentile([target.volume_ml for target in targets("followup")], [25, 50, 75]) == pytest.approx(
        [15, 48, 125], rel=0.1
    )


def test_followup_patients_over_300() -> None:
    for patient in patients("followup"):
        stroke = stroke_of(patient)
        assert patient.followup is not None
        assert patient.followup.thickness_mm == 5
        assert 12 <= stroke.followup_h <= 336
        assert not patient.treatment.skull_defect


def test_followup_infarcts_are_darker_than_their_brain() -> None:
    for patient in patients("followup"):
        stroke, densities = stroke_of(patient), patient.densities
        assert stroke.mean_hu is not None
        stained = stroke.staining_hu + stroke.petechiae_hu
        assert stroke.mean_hu - stained < 0.45 * densities.grey + 0.55 * densities.white - 1


def test_the_healthy_have_no_stroke_and_mimics_another_reason() -> None:
    assert all(patient.stroke is None and patient.followup is None for patient in patients("healthy"))
    assert all("diagnosis" not in patient.stratum for patient in patients("healthy"))
    for patient in patients("mimics"):
        assert patient.stroke is None
        found = patient.confounders
        marks = vars(patient.treatment)
        match patient.stratum["diagnosis"]:
            case "old_infarct":
                assert found.old_infarcts
            case "leukoaraiosis":
                assert found.leukoaraiosis >= 0.6
            case "parenchymal_bleed":
                assert any(bleed.kind == "parenchymal" and bleed.rim_mm > 0 for bleed in found.bleeds)
            case "extra_axial_bleed":
                assert any(bleed.kind != "parenchymal" for bleed in found.bleeds)
            case _ if patient.stratum["mark"] == "staining":
                assert any(bleed.kind == "staining" and bleed.rim_mm == 0 for bleed in found.bleeds)
            case _:
                assert marks[patient.stratum["mark"]] is True


def test_marks_of_treatment_lie_on_the_side_of_the_stroke_and_else_on_either() -> None:
    for preset in ("aspects", "followup"):
        assert all(patient.treatment.side == stroke_of(patient).side for patient in patients(preset))
    sides = Counter(patient.treatment.side for patient in patients("mimics"))
    assert min(sides["left"], sides["right"]) > 110


def test_an_emergency_department_sees_everything() -> None:
    states = Counter(patient.stratum["state"] for patient in patients("mixed"))
    assert {state: count / 300 for state, count in states.items()} == pytest.approx(
        {"stroke": 0.35, "healthy": 0.4, "mimic": 0.25}, abs=0.08
    )
    for patient in patients("mixed"):
        assert (patient.stroke is not None) == (patient.stratum["state"] == "stroke")


@pytest.mark.parametrize("source", ["hyperacute", "aspects", "acute", "followup"])
def test_nothing_but_the_stroke_tells_the_ill_from_the_healthy(source: Preset) -> None:
    healthy = [p for p in patients("healthy", 1200) if p.stratum["scanned_as"] == source]
    ill = patients(source)
    figures = {
        "age": lambda p: p.clinical.age,
        "atrophy": lambda p: p.head.atrophy,
        "ventricles": lambda p: p.head.ventricle_ratio,
        "grey": lambda p: p.densities.grey,
        "leukoaraiosis": lambda p: p.confounders.leukoaraiosis,
        "lacunes": lambda p: len(p.confounders.lacunes),
        "noise": lambda p: p.acute.noise_hu,
        "pixel": lambda p: p.acute.pixel_mm,
        "tilt": lambda p: p.acute.tilt_deg,
        "pitch": lambda p: p.acute.pose.pitch_deg,
        "streaks": lambda p: p.acute.streaks_hu,
    }
    for name, figure in figures.items():
        found = stats.ks_2samp([figure(p) for p in healthy], [figure(p) for p in ill])
        assert found.pvalue > 0.002, name


@pytest.mark.parametrize("preset", PRESETS)
def test_the_shifted_split_is_made_otherwise(preset: Preset) -> None:
    trained, shifted = patients(preset, 120), patients(preset, 120, "shifted")
    for part in (
        lambda p: p.head.folding,
        lambda p: p.acute.kvp,
        lambda p: p.acute.thickness_mm,
        lambda p: p.stroke.growth if p.stroke else p.index,
    ):
        assert not {part(p) for p in trained} & {part(p) for p in shifted} - set(range(120))
    kernels = [(p.acute.kernel, p.acute.kernel_sharpness) for p in shifted]
    assert all(0.85 <= p.acute.kernel_sharpness <= 1.15 for p in trained)
    assert all((kernel == "soft" and sharp < 0.85) or (kernel == "sharp" and sharp > 1.15) for kernel, sharp in kernels)


@pytest.mark.parametrize("split", presets.FROZEN_SPLITS)
@pytest.mark.parametrize("preset", PRESETS)
def test_frozen_cohorts_are_what_was_frozen_with_60_of_each_class(preset: Preset, split: Split) -> None:
    frozen = frozen_cohorts()[preset][split]
    drawn = patients(preset, TEST_SIZES[preset], split)
    assert frozen == {"count": len(drawn), "sha256": digest_of(drawn)}
    keys: dict[Preset, tuple[str, ...]] = {
        "hyperacute": ("onset", "region", "area", "size"),
        "aspects": ("kvp",),
        "followup": ("severity",),
        "healthy": ("scanned_as",),
        "mimics": ("diagnosis",),
        "mixed": ("state",),
    }
    for key in keys.get(preset, ("state",)):
        counts = Counter(p.stratum[key] for p in drawn if key in p.stratum)
        assert min(counts.values()) >= 60, key


def test_cohort_digest_is_the_digest_of_its_patients() -> None:
    assert cohort_digest("acute", "test", 5) == digest_of(patients("acute", 60, "test")[:5])
    assert cohort_digest("acute", "test", 5) != cohort_digest("acute", "test", 6)


def test_quantile_functions_rise() -> None:
    for population in (HYPERACUTE, ASPECTS, FOLLOWUP):
        functions: list[Quantiles] = [population.onset_h, population.interval_h]
        for kind in population.classes:
            functions += [f for f in (kind.volume_ml, kind.mean_hu, kind.stained_hu, kind.followup_h) if f]
        for function in functions:
            values = [function(share) for share in (0.0, *SHARES, 1.0)]
            assert values == sorted(values)
