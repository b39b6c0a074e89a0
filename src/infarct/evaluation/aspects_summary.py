"""ASPECTS of many scans in few numbers: regions, scores, dichotomised scores, drawn regions, and clinical values.

Decisions of regions count once "per affected hemisphere", ten a patient with a stroke, as the aspects paper counts, and
once over "both hemispheres", twenty a patient. Scores are of the side of the stroke; patients without a stroke have no
such side and are counted apart. Intervals come from drawing patients.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from infarct.anatomy import CORTICAL_REGIONS, REGIONS, SUBCORTICAL_REGIONS, Region
from infarct.evaluation.aspects import CORE, FINAL, FULL_SCORE, SYSTEM, AspectsAbout, AspectsResult, RegionResult
from infarct.evaluation.summary import Spread, grouped, spread
from infarct.measure.agreement import (
    BlandAltman,
    Polarity,
    Rows,
    Significance,
    bland_altman,
    icc,
    kolmogorov_smirnov,
    paired_t,
    resampled,
    roc_auc,
    spearman,
    weighted_kappa,
)
from infarct.measure.bootstrap import RESAMPLES, Interval, paired_difference, patient_bootstrap
from infarct.measure.decisions import Decisions, decisions
from infarct.measure.strata import ONSET, UNKNOWN
from infarct.types import BoolArray, Float64Array

Counted: TypeAlias = Literal["affected hemisphere", "both hemispheres"]
ALL: Final = "all"
AREAS: Final[dict[str, tuple[Region, ...]]] = {
    **{region: (region,) for region in REGIONS},
    ALL: REGIONS,
    "cortical": CORTICAL_REGIONS,
    "subcortical": SUBCORTICAL_REGIONS,
}
CUTS: Final[tuple[tuple[int, Polarity], ...]] = ((6, "above"), (6, "at_most"), (4, "above"))
"""What the score is dichotomised at. Both polarities of 6: the paper's does not agree with its median score."""
CLINICAL_CUT: Final = 6
QUANTITIES: Final[dict[str, str]] = {
    "core_ml": "Core, ml",
    "onset_h": "Time from onset, h",
    "nihss": "NIHSS",
    "mrs90": "mRS at 90 days",
    "age": "Age, years",
}
"""Clinical values that scores are held against (aspects paper, tables 2 and 3)."""
Pair: TypeAlias = tuple[str, str]
"""A judge, and the judge that he is measured by."""


@dataclass(frozen=True)
class RegionFigures:
    """Decisions of one area. ``auc`` is that of the system's probabilities, None for other judges.

    ``left_out`` decisions are not known of one of the two judges.
    """

    group: str
    judge: str
    reference: str
    counted: Counted
    area: str
    decisions: Decisions
    auc: Interval | None
    left_out: int


@dataclass(frozen=True)
class ScoreFigures:
    """How two judges' scores of the same patients agree; of ``left_out`` patients a score is not known."""

    group: str
    judge: str
    reference: str
    scans: int
    left_out: int
    icc_absolute: Interval
    icc_consistency: Interval
    spearman: Interval
    spearman_p: float
    kappa_linear: Interval
    kappa_quadratic: Interval
    difference: BlandAltman
    paired_t: Significance
    kolmogorov_smirnov: Significance


@dataclass(frozen=True)
class CutFigures:
    """Scores as yes or no: ``positive`` is what lies above ``cut``, or at most at it; ``auc`` that of the scores."""

    group: str
    judge: str
    reference: str
    cut: int
    positive: Polarity
    decisions: Decisions
    auc: Interval


@dataclass(frozen=True)
class AspectsStratum:
    """The patients with a stroke of one class: decisions in the affected hemisphere and in both, and scores.

    ``above_cut`` are the scores as yes or no, above `CLINICAL_CUT` or not; None where there is no pair of scores.
    """

    group: str
    by: str
    label: str
    judge: str
    reference: str
    patients: int
    decisions: Decisions
    auc: Interval | None
    both: Decisions
    both_auc: Interval | None
    above_cut: Decisions | None
    icc_absolute: Interval
    difference: BlandAltman | None


@dataclass(frozen=True)
class RegionOverlap:
    """Dice of the scored regions with the true ones; both sides of a scan are one value, their mean.

    Where the network was to draw, ``network`` is that of its own regions, ``atlas`` that of the atlas's, ``gain`` the
    first less the second scan by scan.
    """

    group: str
    area: str
    dice: Spread
    network: Spread | None
    atlas: Spread | None
    gain: Interval | None


@dataclass(frozen=True)
class ClinicalValues:
    """A clinical value of all patients with a stroke, and of those with a score above 6 and of at most 6."""

    group: str
    judge: str
    quantity: str
    everyone: Spread
    above: Spread
    at_most: Spread
    kolmogorov_smirnov: Significance
    spearman: Interval
    spearman_p: float


@dataclass(frozen=True)
class AspectsOverview:
    """What a cohort holds, and what the system could not say.

    ``side_right``: share of the strokes with a region affected by core in which the system scored their side.
    ``untouched``: share of the scans without a stroke with a score of ten; their ``points_lost`` are below.
    ``interval_holds``: share of the scans with an interval in which it holds the score by core, and of the strokes.
    ``drawn_by_network``: scans whose scored regions are the network's; in ``regions_disagree`` the atlas differs.
    """

    group: str
    scans: int
    patients: int
    strokes: int
    regions: int
    regions_not_judged: int
    without_score: int
    side_right: Interval
    untouched: Interval
    points_lost: Spread
    interval_holds: Interval
    interval_holds_strokes: Interval
    seconds: Spread
    drawn_by_network: int
    regions_disagree: int


@dataclass(frozen=True)
class AspectsSummary:
    """All numbers of an evaluation of ASPECTS."""

    overview: tuple[AspectsOverview, ...]
    regions: tuple[RegionFigures, ...]
    scores: tuple[ScoreFigures, ...]
    cuts: tuple[CutFigures, ...]
    strata: tuple[AspectsStratum, ...]
    overlap: tuple[RegionOverlap, ...]
    clinical: tuple[ClinicalValues, ...]


def summarise_aspects(results: Sequence[AspectsResult], *, resamples: int = RESAMPLES) -> AspectsSummary:
    """Return the summary of all results, group by group; every interval comes from ``resamples`` draws."""
    groups = list(grouped(results).values())
    return AspectsSummary(
        overview=tuple(_overview(cases) for cases in groups),
        regions=tuple(found for cases in groups for found in _regions(cases, resamples)),
        scores=tuple(found for cases in groups for found in _scores(cases, resamples)),
        cuts=tuple(found for cases in groups for found in _cuts(cases, resamples)),
        strata=tuple(found for cases in groups for found in _strata(cases, resamples)),
        overlap=tuple(found for cases in groups for found in _overlap(cases)),
        clinical=tuple(found for cases in groups for found in _clinical(cases, resamples)),
    )


def readers_of(cases: Sequence[AspectsResult]) -> tuple[str, ...]:
    """Return the names of all readers of some cases."""
    return max((case.readers for case in cases), key=len, default=())


def region_pairs(readers: Sequence[str]) -> tuple[Pair, ...]:
    """Return who is measured by whom: the system and the readers by core, the system by readers, reader by reader."""
    return (
        *((SYSTEM, reference) for reference in (CORE, *readers)),
        *((second, first) for first, second in combinations(readers, 2)),
        *((reader, CORE) for reader in readers),
    )


def score_pairs(readers: Sequence[str]) -> tuple[Pair, ...]:
    """Return the pairs of `region_pairs`, and the system's final score by core and by readers."""
    pairs = region_pairs(readers)
    return (*pairs, *((FINAL, reference) for judge, reference in pairs if judge == SYSTEM))


def regions_of(cases: Sequence[AspectsResult], counted: Counted) -> list[tuple[AspectsResult, RegionResult]]:
    """Return the regions that are counted, each with its case."""
    affected_only = counted == "affected hemisphere"
    return [(case, one) for case in cases for one in (case.affected_side if affected_only else case.regions)]


def paired_scores(cases: Sequence[AspectsResult], pair: Pair) -> tuple[list[AspectsResult], Rows, Rows]:
    """Return the cases in which both judges gave a score, and the reference's and the judge's scores, (n,)."""
    judge, reference = pair
    known = [case for case in cases if case.score_by(judge) is not None and case.score_by(reference) is not None]
    first, second = (np.array([case.score_by(one) for case in known], dtype=np.intp) for one in (reference, judge))
    return known, first, second


def _overview(cases: Sequence[AspectsResult]) -> AspectsOverview:
    strokes = [case for case in cases if case.about.side is not None]
    free = [case for case in cases if case.about.side is None]
    visible = [case for case in strokes if any(one.core for one in case.affected_side)]
    scored = [case for case in free if case.score is not None]
    lost = [float(FULL_SCORE - case.score) for case in scored if case.score is not None]
    return AspectsOverview(
        group=cases[0].about.group,
        scans=len(cases),
        patients=len(set(_patients(cases))),
        strokes=len(strokes),
        regions=sum(len(case.regions) for case in cases),
        regions_not_judged=sum(case.not_judged for case in cases),
        without_score=sum(case.score is None for case in cases),
        side_right=patient_bootstrap([float(case.side == case.about.side) for case in visible], _patients(visible)),
        untouched=patient_bootstrap([float(points == 0) for points in lost], _patients(scored)),
        points_lost=spread(lost, scored),
        interval_holds=_held(cases),
        interval_holds_strokes=_held(strokes),
        seconds=spread((_number(case.seconds) for case in cases), cases),
        drawn_by_network=sum(case.drawn_by == "vbnet" for case in cases),
        regions_disagree=sum(case.regions_disagree for case in cases),
    )


def _held(cases: Sequence[AspectsResult]) -> Interval:
    """Return how often the interval of the score holds the score by core."""
    known = [case for case in cases if case.interval_holds is not None]
    return patient_bootstrap([float(bool(case.interval_holds)) for case in known], _patients(known))


def _regions(cases: Sequence[AspectsResult], resamples: int) -> Iterator[RegionFigures]:
    for judge, reference in region_pairs(readers_of(cases)):
        for counted in get_args(Counted):
            rows = regions_of(cases, counted)
            for area, names in AREAS.items():
                chosen = [(case, one) for case, one in rows if one.region in names]
                found = _Called.of(chosen, (judge, reference))
                if len(found.truth):
                    yield RegionFigures(
                        group=cases[0].about.group,
                        judge=judge,
                        reference=reference,
                        counted=counted,
                        area=area,
                        decisions=decisions(found.truth, found.calls, found.patients, resamples=resamples),
                        auc=found.auc(resamples) if judge == SYSTEM else None,
                        left_out=len(chosen) - len(found.truth),
                    )


@dataclass(frozen=True, eq=False)
class _Called:
    """Regions that two judges called: ``truth``, ``calls`` (bool, (n,)), the system's probability (n,), nan where it
    gave none, and whose each region is."""

    truth: BoolArray
    calls: BoolArray
    probability: Float64Array
    patients: list[str]

    @classmethod
    def of(cls, rows: Sequence[tuple[AspectsResult, RegionResult]], pair: Pair) -> "_Called":
        judge, reference = pair
        known = [row for row in rows if row[1].call(judge) is not None and row[1].call(reference) is not None]
        truth, calls = (np.array([one.call(name) for _, one in known], dtype=bool) for name in (reference, judge))
        probability = np.array([_number(one.probability) for _, one in known])
        return cls(truth, calls, probability, [case.about.patient for case, _ in known])

    def auc(self, resamples: int) -> Interval:
        """Return the area under the ROC of the probabilities, where there is one."""
        given = np.flatnonzero(np.isfinite(self.probability))
        truth, probability = self.truth[given], self.probability[given]
        owners = [self.patients[place] for place in given]
        return resampled(lambda rows: roc_auc(truth[rows], probability[rows]), owners, resamples=resamples)


def _scores(cases: Sequence[AspectsResult], resamples: int) -> Iterator[ScoreFigures]:
    strokes = [case for case in cases if case.about.side is not None]
    for pair in score_pairs(readers_of(cases)):
        known, first, second = paired_scores(strokes, pair)
        if not known:
            continue
        resample = _resampler(known, first, second, resamples)
        yield ScoreFigures(
            group=cases[0].about.group,
            judge=pair[0],
            reference=pair[1],
            scans=len(known),
            left_out=len(strokes) - len(known),
            icc_absolute=resample(icc_absolute_of),
            icc_consistency=resample(lambda one, other: icc(np.stack([one, other], axis=1), "consistency").estimate),
            spearman=resample(_rank_correlation),
            spearman_p=spearman(first, second).p_value,
            kappa_linear=resample(lambda one, other: weighted_kappa(one, other, "linear")),
            kappa_quadratic=resample(lambda one, other: weighted_kappa(one, other, "quadratic")),
            difference=bland_altman(first, second),
            paired_t=paired_t(first, second),
            kolmogorov_smirnov=kolmogorov_smirnov(first, second),
        )


Two: TypeAlias = Callable[[Float64Array, Float64Array], float]
"""A statistic of two readings of the same patients, (n,)."""


def _resampler(
    cases: Sequence[AspectsResult], first: Rows | Float64Array, second: Rows | Float64Array, resamples: int
) -> Callable[[Two], Interval]:
    """Return what gives a statistic of two readings, (n,), of ``cases`` with its interval."""
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    patients = _patients(cases)
    return lambda statistic: resampled(lambda rows: statistic(one[rows], other[rows]), patients, resamples=resamples)


def icc_absolute_of(first: Float64Array, second: Float64Array) -> float:
    """Return the ICC(A,1) of two readings of the same patients, (n,)."""
    return icc(np.stack([first, second], axis=1), "absolute").estimate


def _rank_correlation(first: Float64Array, second: Float64Array) -> float:
    return spearman(first, second).statistic


def _cuts(cases: Sequence[AspectsResult], resamples: int) -> Iterator[CutFigures]:
    for pair in score_pairs(readers_of(cases)):
        known, first, second = paired_scores(cases, pair)
        if not known:
            continue
        for cut, positive in CUTS:
            sign = 1 if positive == "above" else -1
            truth, found = ((values > cut) == (sign > 0) for values in (first, second))
            yield CutFigures(
                group=cases[0].about.group,
                judge=pair[0],
                reference=pair[1],
                cut=cut,
                positive=positive,
                decisions=decisions(truth, found, _patients(known), resamples=resamples),
                auc=_score_auc(truth, sign * second, known, resamples),
            )


def _score_auc(truth: BoolArray, scores: Rows, cases: Sequence[AspectsResult], resamples: int) -> Interval:
    return resampled(lambda rows: roc_auc(truth[rows], scores[rows]), _patients(cases), resamples=resamples)


def _kvp_label(about: AspectsAbout) -> str:
    return UNKNOWN if about.kvp is None else f"{about.kvp:g} kVp"


STRATA: Final[dict[str, Callable[[AspectsAbout], str]]] = {
    "tube voltage": _kvp_label,
    ONSET.name: lambda about: ONSET.label(about.onset_h),
}
"""What patients with a stroke are classed by."""


def _strata(cases: Sequence[AspectsResult], resamples: int) -> Iterator[AspectsStratum]:
    strokes = [case for case in cases if case.about.side is not None]
    pairs = [pair for pair in region_pairs(readers_of(cases)) if SYSTEM in pair or CORE not in pair]
    for by, label_of in STRATA.items():
        classes: dict[str, list[AspectsResult]] = {}
        for case in sorted(strokes, key=lambda case: _place(by, case.about)):
            classes.setdefault(label_of(case.about), []).append(case)
        if set(classes) <= {UNKNOWN}:
            continue
        for label, members in classes.items():
            yield from (_stratum(by, label, members, pair, resamples) for pair in pairs)


def _place(by: str, about: AspectsAbout) -> float:
    """Return where a patient stands among the classes, unknown last."""
    value = about.onset_h if by == ONSET.name else about.kvp
    return np.inf if value is None else value


def _stratum(by: str, label: str, cases: Sequence[AspectsResult], pair: Pair, resamples: int) -> AspectsStratum:
    called = _Called.of(regions_of(cases, "affected hemisphere"), pair)
    both = _Called.of(regions_of(cases, "both hemispheres"), pair)
    known, first, second = paired_scores(cases, pair)
    owners, high = _patients(known), (first > CLINICAL_CUT, second > CLINICAL_CUT)
    return AspectsStratum(
        group=cases[0].about.group,
        by=by,
        label=label,
        judge=pair[0],
        reference=pair[1],
        patients=len(set(_patients(cases))),
        decisions=decisions(called.truth, called.calls, called.patients, resamples=resamples),
        auc=called.auc(resamples) if pair[0] == SYSTEM else None,
        both=decisions(both.truth, both.calls, both.patients, resamples=resamples),
        both_auc=both.auc(resamples) if pair[0] == SYSTEM else None,
        above_cut=decisions(*high, owners, resamples=resamples) if known else None,
        icc_absolute=_resampler(known, first, second, resamples)(icc_absolute_of),
        difference=bland_altman(first, second) if known else None,
    )


def _overlap(cases: Sequence[AspectsResult]) -> Iterator[RegionOverlap]:
    for area in (*REGIONS, ALL):
        used, network, atlas = (
            [_mean_dice(case, area, name) for case in cases] for name in ("dice", "network_dice", "atlas_dice")
        )
        found = spread(used, cases)
        if not found.count:
            continue
        other, old = spread(network, cases), spread(atlas, cases)
        gain = paired_difference(atlas, network, _patients(cases))
        drawn = (other, old, gain) if other.count else (None, None, None)
        yield RegionOverlap(cases[0].about.group, area, found, *drawn)


def _mean_dice(case: AspectsResult, area: str, name: str) -> float:
    """Return the mean of one kind of Dice over the regions of an area on both sides, nan without any."""
    values = [getattr(one, name) for one in case.regions if one.region in AREAS[area]]
    return _mean([dice for dice in values if dice is not None])


def _clinical(cases: Sequence[AspectsResult], resamples: int) -> Iterator[ClinicalValues]:
    for judge in (CORE, *readers_of(cases), SYSTEM):
        scored = [(case, score) for case in cases if (score := case.score_by(judge)) is not None]
        for quantity in QUANTITIES:
            known = [(case, score) for case, score in scored if getattr(case.about, quantity) is not None]
            if known:
                yield _clinical_values(judge, quantity, known, resamples)


def _clinical_values(
    judge: str, quantity: str, known: Sequence[tuple[AspectsResult, int]], resamples: int
) -> ClinicalValues:
    cases = [case for case, _ in known]
    values = np.array([float(getattr(case.about, quantity)) for case in cases])
    scores = np.array([score for _, score in known], dtype=np.float64)
    high = scores > CLINICAL_CUT
    rank = spearman(scores, values)
    return ClinicalValues(
        group=cases[0].about.group,
        judge=judge,
        quantity=quantity,
        everyone=spread(values, cases),
        above=spread(values[high], [case for case, chosen in zip(cases, high, strict=True) if chosen]),
        at_most=spread(values[~high], [case for case, chosen in zip(cases, high, strict=True) if not chosen]),
        kolmogorov_smirnov=kolmogorov_smirnov(values[high], values[~high]),
        spearman=_resampler(cases, scores, values, resamples)(_rank_correlation),
        spearman_p=rank.p_value,
    )


def _patients(cases: Sequence[AspectsResult]) -> list[str]:
    return [case.about.patient for case in cases]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _number(value: float | None) -> float:
    return np.nan if value is None else value
