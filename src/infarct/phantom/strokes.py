"""The stroke of one patient: first what a paper fixes (class, volume, site, times), then everything that follows."""

import math
from dataclasses import dataclass
from typing import Final

from infarct.anatomy import Side
from infarct.phantom.draws import DECIMALS, NORMAL, Stream, normal_score, pick
from infarct.phantom.individuals import SITE_ML
from infarct.phantom.kinetics import FOGGING_H, median_drop_hu
from infarct.phantom.patient import Site, Split, Stroke
from infarct.phantom.populations import POPULATIONS, Area, Population, StrokeClass, StrokeSource

SUBCORTICAL_ML: Final[dict[Site, float]] = {
    "ICA": 45.0,
    "tandem": 45.0,
    "M1": 45.0,
    "M2_superior": 10.0,
    "M2_inferior": 10.0,
    "ACA": 8.0,
    "PCA": 10.0,
    "basilar": 15.0,
    "cerebellar": 60.0,
    "perforator": 4.0,
}
"""Largest infarct of an occlusion that spares the cortex, ml."""
CORTICAL_SHARE: Final = 0.7
"""Share of a site's largest infarct that an infarct without deep tissue can reach."""
PENUMBRA_ML: Final[dict[Site, float]] = {
    "ICA": 95.0,
    "tandem": 95.0,
    "M1": 80.0,
    "M2_superior": 45.0,
    "M2_inferior": 40.0,
    "ACA": 22.0,
    "PCA": 20.0,
    "basilar": 5.0,
    "cerebellar": 12.0,
    "perforator": 0.6,
}
HYPERDENSE: Final[dict[Site, float]] = {"ICA": 0.45, "tandem": 0.45, "M1": 0.45, "M2_superior": 0.2, "M2_inferior": 0.2}
"""Share of occlusions whose clot is denser than blood."""
CLOT_HU: Final = (13.0, 35.0)
"""By how much a dense clot lies above flowing blood of 45 HU; clots measure about 58 to 80 HU."""
BRIGHTEST_HU: Final = 37.5
"""Brains brighter than this are too rare to ask for."""
FOLLOWUP_DROP_HU: Final = (1.2, 3.0)
"""By how much a follow-up infarct of prescribed HU lies at least below normal tissue, stain left out."""
FLUID_HU: Final = 1.5
"""What fluid at the edge of sulci takes from the mean HU of tissue."""
STAINED_SHARE: Final = 0.6
"""Stain and petechiae are patchy and fainter in white matter: they add so much of their HU to the mean."""
UPTAKE_CV: Final = 0.5
LATER_LARGER: Final = 0.2
"""Correlation of volume with time from onset: tissue dies on, but what is large early is sent to CT early."""
LOST_IF_OPENED: Final = (0.0, 0.3)
LOST_IF_SHUT: Final = (0.3, 1.0)
"""Share of the penumbra that dies with and without treatment that opens the vessel."""


@dataclass(frozen=True)
class Target:
    """What is fixed before the rest of a patient is drawn.

    ``volume_score`` is the volume's standard normal score in its class, ``at_least_hu`` the brightness that the scan
    of the brain must have for an infarct of ``mean_hu`` to be darker than normal tissue.
    """

    source: StrokeSource
    kind: StrokeClass
    volume_ml: float
    volume_score: float
    site: Site
    area: Area
    onset_h: float
    onset_score: float
    followup_h: float
    mean_hu: float | None
    petechiae_hu: float
    staining_hu: float
    at_least_hu: float

    @property
    def population(self) -> Population:
        """The population that the patient belongs to."""
        return POPULATIONS[self.source]


def draw_target(stream: Stream, source: StrokeSource) -> Target:
    """Return class, volume, site, times and prescribed density of a stroke of a population."""
    population = POPULATIONS[source]
    chosen, position = class_at(population, stream.even("stroke"))
    volume_ml, volume_score = round(chosen.volume_ml(position), 3), normal_score(position)
    onset_score = LATER_LARGER * volume_score + math.sqrt(1 - LATER_LARGER**2) * normal_score(stream.even("onset"))
    site = pick(site_weights(chosen, volume_ml), stream.even("site"))
    onset_h = round(population.onset_h(NORMAL.cdf(onset_score)), 3)
    later_h = round((chosen.followup_h or population.interval_h)(stream.even("interval")), DECIMALS)
    followup_h = later_h if chosen.followup_h else max(12.0, onset_h + later_h)
    area = _area(stream, site, volume_ml)
    mean_hu, petechiae_hu, staining_hu, at_least_hu = _densities(stream, population, chosen)
    return Target(
        source=source,
        kind=chosen,
        volume_ml=volume_ml,
        volume_score=volume_score,
        site=site,
        area=chosen.area or area,
        onset_h=onset_h,
        onset_score=onset_score,
        followup_h=round(max(followup_h, onset_h + 6.0), 2),
        mean_hu=mean_hu,
        petechiae_hu=petechiae_hu,
        staining_hu=staining_hu,
        at_least_hu=at_least_hu,
    )


def class_at(population: Population, share: float) -> tuple[StrokeClass, float]:
    """Return the class in whose part of the weights ``share`` (0-1) lies, and how far through that part it lies.

    One even number so fills the classes in proportion, and the volumes evenly within each of them.
    """
    left = share * sum(kind.weight for kind in population.classes)
    for kind in population.classes:
        if left < kind.weight:
            return kind, left / kind.weight
        left -= kind.weight
    return population.classes[-1], 1.0


def largest_ml(site: Site, area: Area | None) -> float:
    """Return the largest infarct that an occlusion can cause in an area of its territory, ml."""
    if area == "subcortical":
        return SUBCORTICAL_ML[site]
    return SITE_ML[site] * (CORTICAL_SHARE if area == "cortical" else 1.0)


def site_weights(kind: StrokeClass, volume_ml: float) -> dict[Site, float]:
    """Return the weight of each site given the volume, so that sites and volumes both keep their distributions.

    A site that only part of the volumes fit into is taken so much more often for these; the sites with room for all
    share what is left.
    """
    fits = {site: kind.volume_ml.share_below(largest_ml(site, kind.area)) for site in kind.sites}
    weights = {
        site: weight / fits[site] if volume_ml <= largest_ml(site, kind.area) else 0.0
        for site, weight in kind.sites.items()
        if fits[site] < 1.0
    }
    roomy = {site: weight for site, weight in kind.sites.items() if fits[site] == 1.0}
    left = (1.0 - sum(weights.values())) / sum(roomy.values())
    return weights | {site: weight * left for site, weight in roomy.items()}


def _area(stream: Stream, site: Site, volume_ml: float) -> Area:
    """Return which part of the territory is hit where no class says: small infarcts of the stem are often deep ones.

    Infarcts of the brainstem count as subcortical, those of the cerebellum as both.
    """
    filled = volume_ml / SITE_ML[site]
    deep = 0.05 if site.startswith("M2") or site == "ACA" else 0.45 * math.exp(-volume_ml / 15.0)
    weights: dict[Area, float] = {
        "subcortical": deep if volume_ml < 0.6 * SUBCORTICAL_ML[site] else 0.0,
        "cortical": 0.3 * max(0.0, 1.0 - filled / CORTICAL_SHARE),
        "both": 0.25 + filled,
    }
    drawn = stream.choice(weights)
    if site in ("basilar", "perforator"):
        return "subcortical"
    return "both" if site == "cerebellar" else drawn


def _densities(stream: Stream, population: Population, kind: StrokeClass) -> tuple[float | None, float, float, float]:
    """Return the mean HU at follow-up (None where not prescribed), petechiae and staining, the least brightness."""
    is_stained, is_petechial = stream.chance(kind.stained), stream.chance(0.35)
    added_hu, drop_hu, position = stream.uniform(2.0, 8.0), stream.uniform(*FOLLOWUP_DROP_HU), stream.share()
    if kind.mean_hu is None:
        petechiae_hu = added_hu if stream.chance(population.petechiae) else 0.0
        staining_hu = stream.lognormal(5.0, 0.5, 2.0, 15.0) if stream.chance(population.staining) else 0.0
        return None, petechiae_hu, staining_hu, -math.inf
    if not (is_stained and kind.stained_hu):
        mean_hu = round(kind.mean_hu(position), 3)
        normal_hu = mean_hu + FLUID_HU + drop_hu
        return mean_hu, 0.0, 0.0, round(min(normal_hu, max(BRIGHTEST_HU, mean_hu + FLUID_HU + FOLLOWUP_DROP_HU[0])), 3)
    mean_hu = round(kind.stained_hu(position), 3)
    normal_hu = mean_hu + FLUID_HU + drop_hu
    added_hu = round(min(max(added_hu, (normal_hu - BRIGHTEST_HU) / STAINED_SHARE), 15.0), 3)
    petechiae_hu, staining_hu = (added_hu, 0.0) if is_petechial else (0.0, added_hu)
    return mean_hu, petechiae_hu, staining_hu, round(normal_hu - STAINED_SHARE * added_hu, 3)


@dataclass(frozen=True)
class _Volumes:
    """Volumes in ml, as in `Stroke`."""

    core: float
    penumbra: float
    infarct: float
    final: float


def draw_stroke(stream: Stream, target: Target, split: Split) -> Stroke:
    """Return the whole stroke around what is fixed."""
    population = target.population
    collaterals = _collaterals(stream, target)
    reperfused = stream.chance(population.reperfused)
    volumes = _volumes(stream, target, collaterals, reperfused)
    factor = stream.uniform(0.2, 1.0)
    slowing = (1.2 - 0.4 * collaterals) * (factor if reperfused else 1.0)
    return Stroke(
        seed=stream.seed(),
        growth="blobs" if split == "shifted" else "arrival",
        site=target.site,
        side=_side(stream),
        cortical=target.area,
        onset_h=target.onset_h,
        collaterals=collaterals,
        core_ml=round(volumes.core, 3),
        penumbra_ml=round(volumes.penumbra, 3),
        infarct_ml=round(volumes.infarct, 3),
        final_ml=round(volumes.final, 3),
        uptake=_uptake(stream, target, slowing),
        reperfused=reperfused,
        reperfusion_factor=factor if reperfused else 1.0,
        petechiae_hu=target.petechiae_hu,
        staining_hu=target.staining_hu,
        fogging=_fogging(stream, target),
        swelling=round(stream.uniform(0.25, 1.0) * (0.5 + 0.5 * min(volumes.final / 150.0, 1.0)), 3),
        hemorrhage_ml=_hemorrhage_ml(stream, target, volumes.final),
        hyperdense_hu=_hyperdense_hu(stream, target),
        shape=round(stream.share() ** 1.4, 3),
        followup_h=target.followup_h,
        mean_hu=target.mean_hu,
    )


def _side(stream: Stream) -> Side:
    return "left" if stream.chance(0.52) else "right"


def _collaterals(stream: Stream, target: Target) -> float:
    """Return collaterals, uniform over 0 (none) to 1 (good): worse with a large infarct, better with a late one."""
    score = -0.55 * target.volume_score + 0.25 * target.onset_score + 0.8 * stream.score()
    return round(NORMAL.cdf(score / math.sqrt(0.55**2 + 0.25**2 + 0.8**2)), 3)


def _volumes(stream: Stream, target: Target, collaterals: float, reperfused: bool) -> _Volumes:
    """Return volumes that agree: the infarct near the core, above it once reperfused, the final one within reach."""
    population, most = target.population, largest_ml(target.site, target.area)
    seen = stream.uniform(1.3, 3.0) if reperfused else stream.lognormal(1.0, 0.12, 0.75, 1.2)
    before, opened = stream.uniform(*population.before_final), stream.chance(population.treated)
    lost = stream.uniform(*(LOST_IF_OPENED if opened else LOST_IF_SHUT))
    kept, spilled = stream.uniform(0.85, 1.0), stream.uniform(0.7, 1.4)
    threatened = stream.lognormal(population.penumbra * PENUMBRA_ML[target.site], 0.6)
    threatened *= (0.5 + collaterals) * (0.4 if reperfused else 1.0)
    if population.measured == "core":
        core = target.volume_ml
        infarct = min(core * seen, 0.95 * most)
    else:
        infarct = target.volume_ml * (before if population.measured == "final" else 1.0)
        core = min(infarct / seen, most)
    largest = max(core, infarct)
    penumbra = min(threatened, max(0.97 * most - largest, 0.0), 8.0 * largest)
    if population.measured == "final":
        # What died later was threatened before; a little of it lay beyond what perfusion showed.
        penumbra = max(penumbra, (target.volume_ml - infarct) * spilled)
        return _Volumes(core, penumbra, infarct, target.volume_ml)
    final = min(kept * infarct + lost * max(core + penumbra - infarct, 0.0), most)
    return _Volumes(core, penumbra, infarct, final)


def _uptake(stream: Stream, target: Target, slowing: float) -> float:
    """Return the patient's factor on the median curve: lognormal, bounded where readers selected the patients."""
    least_hu, most_hu = target.population.visible_hu
    drop_hu = median_drop_hu(target.onset_h) * slowing
    small = target.kind.stratum.get("size") == "0.5-1.5 cm"
    most = 6.0 if small else min(6.0, max(most_hu / drop_hu, 0.2))
    return stream.lognormal(1.0, UPTAKE_CV, min(least_hu / drop_hu, 2.0), most)


def _fogging(stream: Stream, target: Target) -> float:
    """Return the share that fogging gives back; what is still severely dark in the second week has not fogged."""
    share = stream.uniform(0.3, 1.0)
    begin, _, end = FOGGING_H
    return share if begin <= target.followup_h <= end and target.kind.severity != "severe" else 0.0


def _hemorrhage_ml(stream: Stream, target: Target, final_ml: float) -> float:
    """Return the blood in the infarct at follow-up; the largest of a class bleed thrice as often as the smallest."""
    happens = stream.even("hemorrhage") < target.population.hemorrhage * (0.5 + NORMAL.cdf(target.volume_score))
    volume_ml = min(stream.lognormal(6.0, 1.0, 0.2, 60.0), 0.35 * final_ml)
    return round(volume_ml, 3) if happens else 0.0


def _hyperdense_hu(stream: Stream, target: Target) -> float:
    """Return by how many HU the clot is denser than flowing blood, 0 where none is seen."""
    share = HYPERDENSE.get(target.site, 0.05) * (0.3 if target.source == "hyperacute" else 1.0)
    dense, clot_hu = stream.chance(share), stream.uniform(*CLOT_HU)
    return clot_hu if dense else 0.0
