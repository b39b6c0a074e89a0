"""Who lies in the scanner: age and sex, head, densities of tissues, what the brain carries besides an acute infarct.

The same draws serve the healthy and the ill. Numbers that no comment gives a source are the choice of this phantom.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

from infarct.anatomy import Side
from infarct.phantom.draws import Quantiles, Stream
from infarct.phantom.patient import (
    Bleed,
    BleedKind,
    Confounders,
    Densities,
    Head,
    Lacune,
    OldInfarct,
    Site,
    Split,
    Treatment,
)

Source = Literal["hyperacute", "aspects", "acute", "followup", "mixed"]
"""A population of patients and the scanners they meet; the healthy and the mimics borrow one."""
Diagnosis = Literal["old_infarct", "leukoaraiosis", "parenchymal_bleed", "extra_axial_bleed", "post_treatment"]
"""What a patient without an acute stroke was sent for."""

SITE_ML: Final[dict[Site, float]] = {
    "ICA": 370.0,
    "tandem": 370.0,
    "M1": 290.0,
    "M2_superior": 150.0,
    "M2_inferior": 130.0,
    "ACA": 70.0,
    "PCA": 70.0,
    "basilar": 15.0,
    "cerebellar": 60.0,
    "perforator": 4.0,
}
"""Largest infarct that each occlusion site can cause, ml."""


@dataclass(frozen=True)
class Person:
    """Age in years and sex."""

    age: float
    sex: Literal["f", "m"]


AGES: Final[dict[Source, Quantiles]] = {
    "hyperacute": Quantiles(((0.0, 24.0), (0.25, 59.0), (0.5, 69.0), (0.75, 78.0), (1.0, 98.0))),
    # Aspects paper, table 2: median 72, IQR 63-81.
    "aspects": Quantiles(
        ((0.0, 28.0), (0.05, 46.0), (0.25, 63.0), (0.5, 72.0), (0.75, 81.0), (0.95, 90.0), (1.0, 99.0))
    ),
    "acute": Quantiles(((0.0, 30.0), (0.25, 60.0), (0.5, 70.0), (0.75, 79.0), (1.0, 97.0))),
    # Volumetry paper, discussion: average age around 69, the very elderly under-represented.
    "followup": Quantiles(((0.0, 30.0), (0.25, 61.0), (0.5, 70.0), (0.75, 78.0), (1.0, 93.0))),
    "mixed": Quantiles(((0.0, 18.0), (0.25, 50.0), (0.5, 66.0), (0.75, 78.0), (1.0, 100.0))),
}
FEMALE: Final[dict[Source, float]] = {
    "hyperacute": 0.4,
    "aspects": 0.391,  # aspects paper, table 2
    "acute": 0.45,
    "followup": 0.47,
    "mixed": 0.48,
}


def draw_person(stream: Stream, source: Source) -> Person:
    """Return age and sex of a patient of a population."""
    age = round(AGES[source](stream.even("age")), 1)
    return Person(age, "f" if stream.even("sex") < FEMALE[source] else "m")


VENTRICLE_RATIO: Final = (0.65, 6.0)
"""Limits of the lateral ventricles: about 10 to 100 ml, where a ratio of 1 holds about 16 ml."""


def draw_head(stream: Stream, person: Person, split: Split) -> Head:
    """Return an individual head; atrophy grows with age, ventricles and sulci with atrophy."""
    atrophy = stream.normal(0.18 + 0.0072 * (person.age - 20), 0.13, 0.0, 1.0)
    size = stream.normal(1.018 if person.sex == "m" else 0.982, 0.03, 0.9, 1.1)
    wide, long, high = (round(size * stream.normal(1.0, 0.025, 0.93, 1.07), 4) for _ in range(3))
    return Head(
        seed=stream.seed(),
        folding="stripes" if split == "shifted" else "labyrinth",
        scale_xyz=(wide, long, high),
        atrophy=atrophy,
        ventricle_ratio=stream.lognormal(math.exp(2.75 * (atrophy - 0.25)), 0.3, *VENTRICLE_RATIO),
        ventricle_asymmetry=stream.normal(0.0, 0.13, -0.4, 0.4),
        sulcus_mm=stream.normal(0.9 + 1.9 * atrophy, 0.25, 0.4, 3.6),
        coarse_mm=stream.uniform(2.0, 4.0),
        fine_mm=stream.uniform(1.2, 2.4),
        skull_mm=stream.normal(7.0 if person.sex == "f" else 6.4, 1.1, 4.0, 11.0),
        scalp_mm=stream.lognormal(5.2, 0.28, 2.5, 11.0),
        frontal_sinus=0.0 if stream.chance(0.07) else stream.uniform(0.15, 1.0),
        mastoid_air=stream.normal(0.7, 0.25, 0.0, 1.0),
        calcified_choroid=stream.chance(0.25 + 0.5 * _elderly(person)),
        calcified_pineal=stream.chance(0.55 + 0.2 * _elderly(person)),
        calcified_falx=stream.chance(0.05 + 0.2 * _elderly(person)),
        calcified_basal_ganglia=stream.chance(0.01 + 0.12 * _elderly(person)),
    )


def _elderly(person: Person) -> float:
    """Return 0 at 40 years and below, 1 at 90 and above."""
    return min(max((person.age - 40.0) / 50.0, 0.0), 1.0)


MEAN_BRAIN_HU: Final = 34.9
BRAIN_SD_HU: Final = 1.7
"""Mean and SD between patients of the HU of brain tissue, half grey and half white, at 120 kVp."""
CONTRAST_HU: Final = (5.2, 9.0)
"""Limits of the contrast between grey and white matter."""


def draw_densities(stream: Stream, at_least_hu: float) -> Densities:
    """Return the HU of this patient's tissues at 120 kVp, given that the mean of grey and white is ``at_least_hu``.

    The limit binds only where a preset prescribes the mean HU of an infarct: one of 36 HU is not seen in a brain of 34.
    """
    brain_hu = stream.normal(MEAN_BRAIN_HU, BRAIN_SD_HU, at_least_hu)
    contrast = stream.normal(8.1, 0.9, *CONTRAST_HU) + 0.4 * (brain_hu - MEAN_BRAIN_HU) / BRAIN_SD_HU
    contrast = min(max(contrast, CONTRAST_HU[0]), CONTRAST_HU[1])
    return Densities(
        grey=round(brain_hu + 0.45 * contrast, 2),
        white=round(brain_hu - 0.55 * contrast, 2),
        csf=stream.normal(8.5, 2.5, 2.0, 14.0),
        blood=stream.normal(50.0, 5.0, 36.0, 64.0),
        dura=stream.normal(50.0, 4.0, 40.0, 62.0),
        muscle=stream.normal(55.0, 5.0, 40.0, 70.0),
        fat=stream.normal(-90.0, 8.0, -115.0, -65.0),
        bone=stream.normal(1100.0, 300.0, 500.0, 1900.0),
        diploe=stream.normal(500.0, 110.0, 220.0, 800.0),
        variation_hu=stream.uniform(0.4, 1.2),
    )


OLD_SITES: Final[dict[Site, float]] = {
    "M2_superior": 0.2,
    "M2_inferior": 0.2,
    "perforator": 0.2,
    "PCA": 0.14,
    "cerebellar": 0.12,
    "M1": 0.08,
    "ACA": 0.06,
}
STROKE_BEFORE: Final = 0.106
"""History of stroke (aspects paper, table 2); silent old infarcts come on top."""
SILENT: Final = 0.05
LACUNE_PLACES: Final[dict[Literal["basal_ganglia", "thalamus", "white_matter", "pons"], float]] = {
    "basal_ganglia": 0.42,
    "white_matter": 0.3,
    "thalamus": 0.2,
    "pons": 0.08,
}
PONTINE_MM: Final = 4.0
"""Largest radius of a lacune in the pons, which has no room for more."""
STRAY_SUBDURAL: Final = 0.008
"""Share of all patients who carry a thin subdural that nobody looked for."""


def draw_confounders(stream: Stream, person: Person) -> Confounders:
    """Return what age and chance leave in a brain, the same in healthy and in ill."""
    ageing = min(max((person.age - 42.0) / 50.0, 0.02), 1.0)
    leukoaraiosis = min(stream.lognormal(0.5 * ageing, 0.9), 1.0)
    crooked = stream.chance(0.12)
    asymmetry = stream.uniform(-0.6, 0.6) if crooked else stream.normal(0.0, 0.16, -0.6, 0.6)
    old_infarcts = 0
    if stream.chance((STROKE_BEFORE + SILENT) * min(ageing / 0.55, 1.4)):
        old_infarcts = 2 if stream.chance(0.2) else 1
    lacunes = stream.count(0.12 + 1.4 * leukoaraiosis * ageing, 8)
    return Confounders(
        seed=stream.seed(),
        leukoaraiosis=round(leukoaraiosis, 3),
        leukoaraiosis_hu=stream.uniform(4.0, 10.0),
        leukoaraiosis_asymmetry=asymmetry,
        perivascular=round(min(stream.lognormal(0.15 + 0.25 * ageing, 0.7), 1.0), 3),
        old_infarcts=tuple(_old_infarct(stream, 9.0) for _ in range(old_infarcts)),
        lacunes=tuple(_lacune(stream) for _ in range(lacunes)),
        bleeds=(_subdural(stream, 12.0),) if stream.chance(STRAY_SUBDURAL) else (),
    )


def _side(stream: Stream) -> Side:
    return "left" if stream.chance(0.5) else "right"


def _old_infarct(stream: Stream, median_ml: float) -> OldInfarct:
    site = stream.choice(OLD_SITES)
    return OldInfarct(
        seed=stream.seed(),
        site=site,
        side=_side(stream),
        volume_ml=stream.lognormal(min(median_ml, 0.4 * SITE_ML[site]), 1.1, 0.4, 0.6 * SITE_ML[site]),
        cavity=stream.uniform(0.3, 0.95),
    )


def _lacune(stream: Stream) -> Lacune:
    place = stream.choice(LACUNE_PLACES)
    return Lacune(
        seed=stream.seed(),
        side=_side(stream),
        place=place,
        radius_mm=stream.lognormal(3.2, 0.4, 1.5, PONTINE_MM if place == "pons" else 7.5),
    )


def _subdural(stream: Stream, median_ml: float) -> Bleed:
    fresh = stream.chance(0.5)
    return Bleed(
        seed=stream.seed(),
        kind="subdural",
        side=_side(stream),
        volume_ml=stream.lognormal(median_ml, 0.8, 3.0, 140.0),
        hu=stream.uniform(52.0, 75.0) if fresh else stream.uniform(22.0, 50.0),
        rim_mm=0.0,
    )


VENTRICULAR_ML: Final = 35.0
"""Most blood in the ventricles; more does not fit into those of the young."""


def _bleed(stream: Stream, kind: BleedKind, median_ml: float) -> Bleed:
    """Return a fresh bleed; parenchymal ones have an oedema rim."""
    return Bleed(
        seed=stream.seed(),
        kind=kind,
        side=_side(stream),
        volume_ml=stream.lognormal(median_ml, 1.0, 0.5, VENTRICULAR_ML if kind == "intraventricular" else 90.0),
        hu=stream.uniform(50.0, 80.0),
        rim_mm=stream.uniform(2.0, 10.0) if kind == "parenchymal" else 0.0,
    )


MARKS: Final = {"coil": 0.004, "clip": 0.004, "drain": 0.002, "skull_defect": 0.003}
"""Share of all patients with marks of an earlier operation."""


def draw_treatment(stream: Stream, source: Source, stroke_side: Side | None) -> Treatment:
    """Return the marks of earlier treatment that anyone may carry, on the side of the stroke where there is one.

    No follow-up scan has a skull defect (excluded).
    """
    found = {mark: stream.chance(share) for mark, share in MARKS.items()}
    found["skull_defect"] &= source != "followup"
    side = _side(stream)
    return Treatment(seed=stream.seed(), side=stroke_side or side, **found)


def with_mark(treatment: Treatment, mark: str) -> Treatment:
    """Return the treatment with the mark of that name as well."""
    return replace(
        treatment,
        coil=treatment.coil or mark == "coil",
        clip=treatment.clip or mark == "clip",
        drain=treatment.drain or mark == "drain",
        skull_defect=treatment.skull_defect or mark == "skull_defect",
    )


def add_old_infarcts(stream: Stream, confounders: Confounders) -> Confounders:
    """Return the confounders with one or two larger old infarcts more."""
    added = tuple(_old_infarct(stream, 25.0) for _ in range(2 if stream.chance(0.3) else 1))
    return replace(confounders, old_infarcts=confounders.old_infarcts + added)


def with_severe_leukoaraiosis(stream: Stream, confounders: Confounders) -> Confounders:
    """Return the confounders with severe, often asymmetric leukoaraiosis and the lacunes that go with it."""
    return replace(
        confounders,
        leukoaraiosis=stream.uniform(0.6, 1.0),
        leukoaraiosis_hu=stream.uniform(6.0, 10.0),
        leukoaraiosis_asymmetry=stream.uniform(-0.6, 0.6),
        lacunes=confounders.lacunes + tuple(_lacune(stream) for _ in range(stream.count(1.2, 5))),
    )


def add_parenchymal_bleed(stream: Stream, confounders: Confounders) -> Confounders:
    """Return the confounders with a bleed into the brain, in a quarter with blood in the ventricles."""
    added = [_bleed(stream, "parenchymal", 14.0)]
    if stream.chance(0.25):
        added.append(_bleed(stream, "intraventricular", 5.0))
    return replace(confounders, bleeds=confounders.bleeds + tuple(added))


def add_extra_axial_bleed(stream: Stream, confounders: Confounders) -> Confounders:
    """Return the confounders with blood outside the brain tissue."""
    weights: dict[BleedKind, float] = {"subdural": 0.6, "subarachnoid": 0.25, "intraventricular": 0.15}
    kind = stream.choice(weights)
    added = _subdural(stream, 30.0) if kind == "subdural" else _bleed(stream, kind, 9.0)
    return replace(confounders, bleeds=(*confounders.bleeds, added))


def add_staining(stream: Stream, confounders: Confounders) -> Confounders:
    """Return the confounders with contrast that stains tissue after an intervention: dense, without oedema."""
    return replace(confounders, bleeds=(*confounders.bleeds, _bleed(stream, "staining", 8.0)))
