"""Follow-up scans in few numbers: how volumes agree, by class of darkness, and how blood is found, by its volume.

Classes are those of the true infarct's density. Intervals come from drawing patients.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from infarct.evaluation.result import Failure
from infarct.evaluation.summary import QUIET_ML, Spread, grouped, spread
from infarct.evaluation.volumetry import FollowupResults
from infarct.measure.agreement import LIMITS, Agreement, Rows, resampled, roc_auc, spearman
from infarct.measure.bootstrap import RESAMPLES, Interval, patient_bootstrap
from infarct.measure.severity import SEVERITIES, Severity
from infarct.measure.strata import Strata
from infarct.types import BoolArray, Float64Array

ALL: Final = "all"
WEIGHTED: Final = "all, 17/51/32"
"""All infarcts, each class as often as among the paper's test scans."""
SHARES: Final[dict[Severity, float]] = {"severe": 0.17, "intermediate": 0.51, "subtle": 0.32}
"""Shares of the classes among the paper's 396 test scans."""
TRUTH: Final = "truth"
BLOOD_VOLUME: Final = Strata("blood volume", "ml", (0.5, 2.0))
HEALTHY: Final = "healthy"
INFARCT_ALONE: Final = "infarct without blood"

Weights: TypeAlias = Float64Array
"""How much each scan counts, (n,); none below 0."""


@dataclass(frozen=True, eq=False)
class VolumePairs:
    """True and told volumes in ml and Dice of scans with an infarct, all (n,), and their classes (None: unknown)."""

    truth_ml: Float64Array
    found_ml: Float64Array
    dice: Float64Array
    severity: npt.NDArray[np.object_]

    @classmethod
    def of(cls, cases: Sequence[FollowupResults], method: str) -> "VolumePairs":
        """Return what one method told of some scans with an infarct."""
        told = [case.by_method[method] for case in cases]
        return cls(
            truth_ml=np.array([case.about.truth_ml for case in cases], dtype=np.float64),
            found_ml=np.array([one.found_ml for one in told], dtype=np.float64),
            dice=np.array([one.dice for one in told], dtype=np.float64),
            severity=np.array([case.about.severity for case in cases], dtype=object),
        )

    def taken(self, rows: Rows) -> "VolumePairs":
        """Return the scans of some rows, in which one may stand more than once."""
        return VolumePairs(self.truth_ml[rows], self.found_ml[rows], self.dice[rows], self.severity[rows])


@dataclass(frozen=True)
class VolumeFigures:
    """How a method's volumes agree with the truth in the scans with an infarct of one class.

    ``icc_absolute`` is ICC(A,1), ``icc_consistency`` ICC(C,1); ``bias`` is the mean of told less true volume in ml and
    ``limits`` are those of agreement, bias ± 1.96 SD.
    """

    group: str
    method: str
    label: str
    scans: int
    patients: int
    truth_ml: Spread
    found_ml: Spread
    icc_absolute: Interval
    icc_consistency: Interval
    dice: Interval
    bias: Interval
    limits: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """A ``method`` less the ``first``, over the same scans of one class."""

    group: str
    method: str
    first: str
    label: str
    scans: int
    icc_absolute: Interval
    icc_consistency: Interval
    dice: Interval
    bias: Interval


@dataclass(frozen=True)
class FalseVolume:
    """What a method marks in scans without an infarct; ``quiet`` is the share with at most `QUIET_ML`."""

    group: str
    method: str
    scans: int
    patients: int
    found_ml: Spread
    quiet: Interval


@dataclass(frozen=True)
class Outcome90:
    """Spearman's correlation of a volume, by a method or the "truth", with the Rankin score after 90 days."""

    group: str
    method: str
    scans: int
    spearman: Interval


@dataclass(frozen=True)
class BloodFound:
    """Scans with blood of one class of volume: the share in which it was suspected, its Dice and volumes."""

    group: str
    label: str
    scans: int
    patients: int
    suspected: Interval
    dice: Spread
    truth_ml: Spread
    found_ml: Spread


@dataclass(frozen=True)
class FalseAlarms:
    """Heads without blood, of one kind: in how many of a hundred blood was suspected."""

    group: str
    heads: str
    scans: int
    patients: int
    per_100: Interval


@dataclass(frozen=True)
class BloodTypes:
    """The ml of one true kind of blood, over all scans, that were told as each kind."""

    group: str
    kind: str
    told_ml: dict[str, float]


@dataclass(frozen=True)
class VolumetryOverview:
    """What a cohort holds, and what it does not say.

    ``refused`` scans have no answer and are in no other number. ``outside`` infarcts have a density in no class and
    count in the nearest one, ``no_class`` have none. ``blood_auc`` is the area under the ROC of the probability of any
    blood; ``midline_told`` counts scans in which the shift of the midline could be measured, ``midline_error`` is how
    far it was off in mm, where the true one is known.
    """

    group: str
    scans: int
    refused: int
    patients: int
    ill: int
    by_class: dict[Severity, int]
    outside: int
    no_class: int
    blood: int
    no_blood_label: int
    blood_auc: Interval
    midline_told: int
    midline_error: Spread
    seconds: Spread


@dataclass(frozen=True)
class VolumetrySummary:
    """All numbers of an evaluation, group by group in the order of the results."""

    volumes: tuple[VolumeFigures, ...]
    differences: tuple[Difference, ...]
    false_volumes: tuple[FalseVolume, ...]
    outcomes: tuple[Outcome90, ...]
    blood: tuple[BloodFound, ...]
    false_alarms: tuple[FalseAlarms, ...]
    blood_types: tuple[BloodTypes, ...]
    overview: tuple[VolumetryOverview, ...]


Statistic: TypeAlias = Callable[[VolumePairs, Weights], float]


def summarise_volumetry(
    results: Sequence[FollowupResults], failures: Sequence[Failure], *, resamples: int = RESAMPLES
) -> VolumetrySummary:
    """Return the summary of all results; ``failures`` are counted."""
    every = list(grouped(results).items())
    lost = {one.group for one in failures} - {group for group, _ in every}
    return VolumetrySummary(
        volumes=tuple(row for _, cases in every for row in _volumes(cases, resamples)),
        differences=tuple(row for _, cases in every for row in _differences(cases, resamples)),
        false_volumes=tuple(row for _, cases in every for row in _false_volumes(cases, resamples)),
        outcomes=tuple(row for _, cases in every for row in _outcomes(cases, resamples)),
        blood=tuple(row for _, cases in every for row in _blood(cases, resamples)),
        false_alarms=tuple(row for _, cases in every for row in _false_alarms(cases, resamples)),
        blood_types=tuple(row for _, cases in every for row in _blood_types(cases)),
        overview=tuple(
            _overview(group, cases, failures, resamples)
            for group, cases in [*every, *((group, []) for group in sorted(lost))]
        ),
    )


def with_infarct(cases: Iterable[FollowupResults]) -> list[FollowupResults]:
    """Return the scans with an infarct."""
    return [case for case in cases if case.about.ill]


def of_class(cases: Iterable[FollowupResults], label: str) -> list[FollowupResults]:
    """Return the scans with an infarct of a row of the tables; `WEIGHTED` leaves out those without a class."""
    ill = with_infarct(cases)
    if label == ALL:
        return ill
    return [case for case in ill if case.about.severity == label or (label == WEIGHTED and case.about.severity)]


def class_weights(severity: npt.NDArray[np.object_]) -> Weights | None:
    """Return weights (n,) of scans that give each class its share of the paper's; None where a class is missing."""
    counts = {name: np.count_nonzero(severity == name) for name in SEVERITIES}
    if not all(counts.values()):
        return None
    weights = np.zeros(len(severity))
    for name in SEVERITIES:
        weights[severity == name] = SHARES[name] / counts[name]
    return weights


def weighted_icc(pairs: VolumePairs, weights: Weights, kind: Agreement) -> float:
    """Return the ICC of single readings, `measure.agreement.icc`'s where all weights are equal; nan below two scans.

    The mean squares of two readings come from their mean and their difference, each scan by its weight.
    """
    n, share = len(weights), weights / weights.sum() if len(weights) else weights
    if n < 2:
        return math.nan
    means, differences = (pairs.truth_ml + pairs.found_ml) / 2, pairs.found_ml - pairs.truth_ml
    bias = float(share @ differences)
    freedom = n / (n - 1)
    rows = 2 * freedom * float(share @ np.square(means - share @ means))
    error = freedom * float(share @ np.square(differences - bias)) / 2
    between = 2 * (n * bias**2 / 2 - error) / n if kind == "absolute" else 0.0
    whole = rows + error + between
    return (rows - error) / whole if whole else math.nan


def weighted_dice(pairs: VolumePairs, weights: Weights) -> float:
    """Return the mean Dice, each scan by its weight."""
    return float(weights @ pairs.dice / weights.sum())


def weighted_bias(pairs: VolumePairs, weights: Weights) -> float:
    """Return the mean of told less true volume in ml, each scan by its weight."""
    return float(weights @ (pairs.found_ml - pairs.truth_ml) / weights.sum())


def limits_of_agreement(pairs: VolumePairs, weights: Weights) -> tuple[float, float]:
    """Return bias ± 1.96 SD in ml, each scan by its weight; nan below two scans."""
    n = len(weights)
    if n < 2:
        return math.nan, math.nan
    bias = weighted_bias(pairs, weights)
    squares = np.square(pairs.found_ml - pairs.truth_ml - bias)
    reach = LIMITS * math.sqrt(float(weights @ squares / weights.sum()) * n / (n - 1))
    return bias - reach, bias + reach


MEASURES: Final[dict[str, Statistic]] = {
    "icc_absolute": partial(weighted_icc, kind="absolute"),
    "icc_consistency": partial(weighted_icc, kind="consistency"),
    "dice": weighted_dice,
    "bias": weighted_bias,
}


def weights_for(label: str, severity: npt.NDArray[np.object_]) -> Weights | None:
    """Return how much scans of these classes count in a row of tables; None where the row cannot be given."""
    return class_weights(severity) if label == WEIGHTED else np.ones(len(severity))


def _value(of: Statistic, pairs: VolumePairs, label: str, rows: Rows) -> float:
    drawn = pairs.taken(rows)
    weights = weights_for(label, drawn.severity)
    return math.nan if weights is None else of(drawn, weights)


def _change(of: Statistic, before: VolumePairs, after: VolumePairs, label: str, rows: Rows) -> float:
    return _value(of, after, label, rows) - _value(of, before, label, rows)


def _labels(cases: Sequence[FollowupResults]) -> list[str]:
    """Return the rows of the tables that these scans have something to show in."""
    known = [name for name in SEVERITIES if of_class(cases, name)]
    weighted = [WEIGHTED] if len(known) == len(SEVERITIES) else []
    return [*known, ALL, *weighted] if with_infarct(cases) else []


def _volumes(cases: Sequence[FollowupResults], resamples: int) -> Iterator[VolumeFigures]:
    for method in cases[0].by_method:
        for label in _labels(cases):
            members = of_class(cases, label)
            pairs = VolumePairs.of(members, method)
            weights = weights_for(label, pairs.severity)
            values = {
                name: resampled(partial(_value, of, pairs, label), _patients(members), resamples=resamples)
                for name, of in MEASURES.items()
            }
            yield VolumeFigures(
                group=cases[0].about.group,
                method=method,
                label=label,
                scans=len(members),
                patients=len(set(_patients(members))),
                truth_ml=spread(pairs.truth_ml, members),
                found_ml=spread(pairs.found_ml, members),
                limits=(math.nan, math.nan) if weights is None else limits_of_agreement(pairs, weights),
                **values,
            )


def _differences(cases: Sequence[FollowupResults], resamples: int) -> Iterator[Difference]:
    first, *others = cases[0].by_method
    for method in others:
        for label in _labels(cases):
            members = of_class(cases, label)
            before, after = (VolumePairs.of(members, name) for name in (first, method))
            values = {
                name: resampled(partial(_change, of, before, after, label), _patients(members), resamples=resamples)
                for name, of in MEASURES.items()
            }
            yield Difference(cases[0].about.group, method, first, label, len(members), **values)


def _false_volumes(cases: Sequence[FollowupResults], resamples: int) -> Iterator[FalseVolume]:
    free = [case for case in cases if not case.about.ill]
    for method in cases[0].by_method if free else ():
        found_ml = np.array([case.by_method[method].found_ml for case in free])
        quiet = (found_ml <= QUIET_ML).astype(np.float64)
        yield FalseVolume(
            group=cases[0].about.group,
            method=method,
            scans=len(free),
            patients=len(set(_patients(free))),
            found_ml=spread(found_ml, free),
            quiet=patient_bootstrap(quiet, _patients(free), resamples=resamples),
        )


def _outcomes(cases: Sequence[FollowupResults], resamples: int) -> Iterator[Outcome90]:
    known = [case for case in with_infarct(cases) if case.about.mrs90 is not None]
    rankin = np.array([case.about.mrs90 for case in known], dtype=np.float64)
    volumes: dict[str, Float64Array] = {TRUTH: np.array([case.about.truth_ml for case in known])}
    volumes |= {method: np.array([case.by_method[method].found_ml for case in known]) for method in cases[0].by_method}
    for method, ml in volumes.items() if known else ():
        correlation = resampled(partial(_rank_correlation, ml, rankin), _patients(known), resamples=resamples)
        yield Outcome90(cases[0].about.group, method, len(known), correlation)


def _rank_correlation(first: Float64Array, second: Float64Array, rows: Rows) -> float:
    return spearman(first[rows], second[rows]).statistic


def _blood(cases: Sequence[FollowupResults], resamples: int) -> Iterator[BloodFound]:
    bleeding = [case for case in cases if case.about.blood_ml]
    classes: Mapping[str, list[FollowupResults]] = {
        label: [case for case in bleeding if BLOOD_VOLUME.label(case.about.blood_ml) == label]
        for label in BLOOD_VOLUME.labels
    }
    for label, members in {**classes, ALL: bleeding}.items():
        if not members:
            continue
        suspected = [float(case.blood.suspected) for case in members]
        dices = [math.nan if case.blood.counts is None else case.blood.counts.dice for case in members]
        yield BloodFound(
            group=cases[0].about.group,
            label=label,
            scans=len(members),
            patients=len(set(_patients(members))),
            suspected=patient_bootstrap(suspected, _patients(members), resamples=resamples),
            dice=spread(dices, members),
            truth_ml=spread((case.about.blood_ml or 0.0 for case in members), members),
            found_ml=spread((case.blood.found_ml for case in members), members),
        )


def _false_alarms(cases: Sequence[FollowupResults], resamples: int) -> Iterator[FalseAlarms]:
    for heads, ill in ((HEALTHY, False), (INFARCT_ALONE, True)):
        free = [case for case in cases if case.about.blood_ml == 0 and case.about.ill == ill]
        if free:
            alarms = [100.0 * case.blood.suspected for case in free]
            yield FalseAlarms(
                group=cases[0].about.group,
                heads=heads,
                scans=len(free),
                patients=len(set(_patients(free))),
                per_100=patient_bootstrap(alarms, _patients(free), resamples=resamples),
            )


def _blood_types(cases: Sequence[FollowupResults]) -> Iterator[BloodTypes]:
    kinds: dict[str, dict[str, float]] = {}
    for case in cases:
        for kind, told in (case.blood.crossed_ml or {}).items():
            row = kinds.setdefault(kind, {})
            for other, ml in told.items():
                row[other] = row.get(other, 0.0) + ml
    for kind, row in kinds.items():
        yield BloodTypes(cases[0].about.group, kind, row)


def _overview(
    group: str, cases: Sequence[FollowupResults], failures: Sequence[Failure], resamples: int
) -> VolumetryOverview:
    ill = [case.about for case in with_infarct(cases)]
    rated = [case for case in cases if case.blood.probability is not None and case.about.blood_ml is not None]
    first = [next(iter(case.by_method.values())).seconds for case in cases]
    return VolumetryOverview(
        group=group,
        scans=len(cases),
        refused=sum(failure.group == group for failure in failures),
        patients=len(set(_patients(cases))),
        ill=len(ill),
        by_class={name: sum(about.severity == name for about in ill) for name in SEVERITIES},
        outside=sum(about.severity is not None and not about.is_in_class for about in ill),
        no_class=sum(about.severity is None for about in ill),
        blood=sum(bool(case.about.blood_ml) for case in cases),
        no_blood_label=sum(case.about.blood_ml is None for case in cases),
        blood_auc=_auc(rated, resamples),
        midline_told=sum(case.midline_mm is not None for case in cases),
        midline_error=spread((_size(case.midline_error_mm) for case in cases), cases),
        seconds=spread((math.nan if value is None else value for value in first), cases),
    )


def _size(value: float | None) -> float:
    return math.nan if value is None else abs(value)


def _auc(cases: Sequence[FollowupResults], resamples: int) -> Interval:
    truth = np.array([bool(case.about.blood_ml) for case in cases], dtype=bool)
    chance = np.array([case.blood.probability for case in cases], dtype=np.float64)
    return resampled(partial(_auc_of, truth, chance), _patients(cases), resamples=resamples)


def _auc_of(truth: BoolArray, chance: Float64Array, rows: Rows) -> float:
    return roc_auc(truth[rows], chance[rows])


def _patients(cases: Iterable[FollowupResults]) -> list[str]:
    return [case.about.patient for case in cases]
