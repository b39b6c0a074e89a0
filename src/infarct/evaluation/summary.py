"""Many cases in few numbers: by cohort, by class of lesion volume and of time from onset, and for scans without lesion.

Means and medians are over scans, their 95 % intervals from drawing patients (`measure.bootstrap`).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.evaluation.result import R, Result
from infarct.evaluation.segment import MEASURES, CaseResult
from infarct.measure.bootstrap import Interval, patient_bootstrap
from infarct.measure.calibration import Reliability
from infarct.measure.lesions import LesionCounts
from infarct.measure.strata import LESION_VOLUME, ONSET, UNKNOWN, Strata

QUIET_ML: Final = 3.0
"""A healthy scan with no more than this marked counts as left alone."""
EVERY_SCAN: Final = "all"
DETECTABILITY: Final = Strata("detectability d'", "", (1.0, 3.0, 10.0, 30.0))
"""With a d' of 1 the ideal observer tells 76 of 100 pairs of ill and healthy scans apart, with 3 it tells 98."""
STRATA: Final[dict[Strata, Callable[[CaseResult], float]]] = {
    LESION_VOLUME: lambda case: case.truth_ml,
    ONSET: lambda case: case.about.onset_h,
    DETECTABILITY: lambda case: case.about.detectability,
}
"""What scans with a lesion are classed by."""


@dataclass(frozen=True)
class Spread:
    """A measure over the scans where it is defined: sample SD, quartiles, and intervals of mean and median."""

    mean: Interval
    median: Interval
    sd: float
    lower_quartile: float
    upper_quartile: float

    @property
    def count(self) -> int:
        """Scans where the measure is defined."""
        return self.mean.count


@dataclass(frozen=True)
class Stratum:
    """The scans with a lesion of one class; ``by`` names what they are classed by, ``lesions`` are added up."""

    group: str
    by: str
    label: str
    scans: int
    patients: int
    measures: dict[str, Spread]
    lesions: LesionCounts


@dataclass(frozen=True)
class LesionFree:
    """The scans of a group without an acute lesion; ``quiet`` is the share with at most `QUIET_ML` marked."""

    group: str
    scans: int
    patients: int
    false_positive_ml: Spread
    quiet: Interval
    untouched: Interval
    false_lesions: int


@dataclass(frozen=True)
class OldInfarcts:
    """The scans of a group with an old infarct: its Dice, and which share of it was called acute."""

    group: str
    scans: int
    patients: int
    truth_ml: Spread
    dice: Spread
    called_acute_pct: Spread
    pooled_called_acute_pct: float


@dataclass(frozen=True)
class GroupCalibration:
    """Calibration over all voxels of a group's scans."""

    group: str
    scans: int
    reliability: Reliability


@dataclass(frozen=True)
class Summary:
    """All numbers of an evaluation. Groups stand in the order in which they first appear among the results."""

    strata: tuple[Stratum, ...]
    lesion_free: tuple[LesionFree, ...]
    old: tuple[OldInfarcts, ...]
    calibration: tuple[GroupCalibration, ...]

    def by(self, name: str) -> tuple[Stratum, ...]:
        """Return the strata by one quantity: `EVERY_SCAN` or a name of `STRATA`."""
        return tuple(stratum for stratum in self.strata if stratum.by == name)


def summarise(results: Sequence[CaseResult]) -> Summary:
    """Return the summary of all results, group by group."""
    strata: list[Stratum] = []
    lesion_free: list[LesionFree] = []
    old: list[OldInfarcts] = []
    calibration: list[GroupCalibration] = []
    for group, cases in grouped(results).items():
        with_lesion = [case for case in cases if case.has_lesion]
        without = [case for case in cases if not case.has_lesion]
        aged = [case for case in cases if case.old is not None and case.old.truth_ml > 0]
        strata += _strata(group, with_lesion)
        lesion_free += [_lesion_free(group, without)] if without else []
        old += [_old_infarcts(group, aged)] if aged else []
        parts = [case.calibration for case in cases if case.calibration is not None]
        calibration += [GroupCalibration(group, len(parts), sum(parts[1:], start=parts[0]))] if parts else []
    return Summary(tuple(strata), tuple(lesion_free), tuple(old), tuple(calibration))


def grouped(results: Iterable[R]) -> dict[str, list[R]]:
    """Return the results of each group, in order of appearance."""
    groups: dict[str, list[R]] = {}
    for case in results:
        groups.setdefault(case.about.group, []).append(case)
    return groups


def spread(values: Iterable[float], cases: Sequence[Result]) -> Spread:
    """Return the spread of one value a case; nan values are left out, and nothing left gives nan throughout."""
    given = np.array(list(values), dtype=np.float64)
    patients = [(case.about.group, case.about.patient) for case in cases]
    known = given[np.isfinite(given)]
    quartiles = np.percentile(known, [25, 75]) if len(known) else (math.nan, math.nan)
    return Spread(
        mean=patient_bootstrap(given, patients),
        median=patient_bootstrap(given, patients, statistic="median"),
        sd=float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        lower_quartile=float(quartiles[0]),
        upper_quartile=float(quartiles[1]),
    )


def added(cases: Iterable[CaseResult]) -> LesionCounts:
    """Return the lesions of all cases together."""
    counts = [case.lesions for case in cases]
    return LesionCounts(*(sum(getattr(one, name) for one in counts) for name in ("tp", "fp", "fn")))


def classed(cases: Iterable[CaseResult], strata: Strata) -> dict[str, list[CaseResult]]:
    """Return the cases of each class that is not empty, in the order of the classes, unknown last."""
    classes: dict[str, list[CaseResult]] = {label: [] for label in (*strata.labels, UNKNOWN)}
    for case in cases:
        classes[strata.label(STRATA[strata](case))].append(case)
    return {label: members for label, members in classes.items() if members}


def _strata(group: str, cases: Sequence[CaseResult]) -> list[Stratum]:
    found = [_stratum(group, EVERY_SCAN, EVERY_SCAN, cases)] if cases else []
    for strata in STRATA:
        classes = classed(cases, strata)
        if set(classes) != {UNKNOWN}:
            found += [_stratum(group, strata.name, label, members) for label, members in classes.items()]
    return found


def _stratum(group: str, by: str, label: str, cases: Sequence[CaseResult]) -> Stratum:
    measures = {name: spread((measure.of(case) for case in cases), cases) for name, measure in MEASURES.items()}
    return Stratum(group, by, label, len(cases), _patients(cases), measures, added(cases))


def _lesion_free(group: str, cases: Sequence[CaseResult]) -> LesionFree:
    patients = [case.about.patient for case in cases]
    marked_ml = np.array([case.false_positive_ml for case in cases])
    return LesionFree(
        group=group,
        scans=len(cases),
        patients=_patients(cases),
        false_positive_ml=spread(marked_ml, cases),
        quiet=patient_bootstrap((marked_ml <= QUIET_ML).astype(np.float64), patients),
        untouched=patient_bootstrap((marked_ml == 0).astype(np.float64), patients),
        false_lesions=added(cases).fp,
    )


def _old_infarcts(group: str, cases: Sequence[CaseResult]) -> OldInfarcts:
    old = [case.old for case in cases if case.old is not None]
    return OldInfarcts(
        group=group,
        scans=len(cases),
        patients=_patients(cases),
        truth_ml=spread((one.truth_ml for one in old), cases),
        dice=spread((one.dice for one in old), cases),
        called_acute_pct=spread((one.called_acute_pct for one in old), cases),
        pooled_called_acute_pct=100 * sum(one.called_acute_ml for one in old) / sum(one.truth_ml for one in old),
    )


def _patients(cases: Iterable[CaseResult]) -> int:
    return len({case.about.patient for case in cases})
