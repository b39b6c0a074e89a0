"""Tiles of many scans in few numbers: balanced tiles and whole slices, by group of patients, onset, d' and scanner.

The groups are those of table 3 of the localize paper. Intervals come from drawing patients. A patient of whom the
cohort does not say the region, the area or the size is in none of the groups that ask for it, and is counted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.evaluation.localize import LocalizeAbout, LocalizeResult
from infarct.evaluation.summary import DETECTABILITY, Spread, grouped, spread
from infarct.measure.bootstrap import RESAMPLES, Interval, patient_bootstrap
from infarct.measure.decisions import Decisions, decisions
from infarct.measure.ranking import Ranking, ranking
from infarct.measure.strata import UNKNOWN, Strata
from infarct.types import BoolArray, Float64Array

ALL: Final = "all"
EARLY: Final = "≤ 6 h"
LATE: Final = "6-12 h"
EARLY_H: Final = 6.0
LATE_H: Final = 12.0
SMALL: Final = "≤ 1.5 cm"
GROUPS: Final[dict[str, Callable[[LocalizeAbout], bool]]] = {
    ALL: lambda about: about.ill,
    "supratentorial": lambda about: about.region == "supratentorial",
    "infratentorial": lambda about: about.region == "infratentorial",
    "cortical": lambda about: about.area == "cortical",
    "subcortical": lambda about: about.area == "subcortical",
    "cortical and subcortical": lambda about: about.area == "both",
    SMALL: lambda about: about.size == "0.5-1.5 cm",
}
"""The patients with an infarct of each row of the paper's table 3."""
ONSETS: Final[dict[str, Callable[[LocalizeAbout], bool]]] = {
    EARLY: lambda about: about.onset_h is not None and about.onset_h <= EARLY_H,
    LATE: lambda about: about.onset_h is not None and EARLY_H < about.onset_h <= LATE_H,
}
THICKNESS: Final = Strata("slice thickness", "mm", (2.0, 4.0, 6.0))
STRATA: Final[dict[str, Callable[[LocalizeAbout], str]]] = {
    DETECTABILITY.name: lambda about: DETECTABILITY.label(about.detectability),
    "tube voltage": lambda about: UNKNOWN if about.kvp is None else f"{about.kvp:g} kVp",
    THICKNESS.name: lambda about: THICKNESS.label(about.thickness_mm),
}
"""What patients with an infarct are classed by."""


@dataclass(frozen=True, eq=False)
class TileScores:
    """Scores of tiles (n,), which are truly infarct and which are called (bool, (n,)), and whose each is (n,)."""

    truth: BoolArray
    scores: Float64Array
    called: BoolArray
    owner: tuple[str, ...]

    @classmethod
    def balanced(cls, cases: Sequence[LocalizeResult]) -> "TileScores":
        """Return the balanced tiles of some scans."""
        return cls._of([(case, case.infarct, case.normal, case.threshold) for case in cases])

    @classmethod
    def whole(cls, cases: Sequence[LocalizeResult]) -> "TileScores":
        """Return all tiles of some scans that are infarct or free of it."""
        return cls._of([(case, case.all_infarct, case.all_free, case.whole_threshold) for case in cases])

    @classmethod
    def _of(cls, parts: Sequence[tuple[LocalizeResult, tuple[float, ...], tuple[float, ...], float]]) -> "TileScores":
        ill = [np.arange(len(positive) + len(negative)) < len(positive) for _, positive, negative, _ in parts]
        scores = [np.array([*positive, *negative]) for _, positive, negative, _ in parts]
        called = [values >= part[3] for values, part in zip(scores, parts, strict=True)]
        owner = (case.about.patient for case, positive, negative, _ in parts for _ in (*positive, *negative))
        return cls(
            np.concatenate([np.zeros(0, dtype=bool), *ill]),
            np.concatenate([np.zeros(0), *scores]),
            np.concatenate([np.zeros(0, dtype=bool), *called]),
            tuple(owner),
        )

    def rates(self, resamples: int) -> "Rates":
        """Return how they are called and ranked."""
        return Rates(
            decisions(self.truth, self.called, self.owner, resamples=resamples),
            ranking(self.truth, self.scores, self.owner, resamples=resamples),
        )


@dataclass(frozen=True)
class Rates:
    """How tiles are called and ranked."""

    decisions: Decisions
    ranking: Ranking


@dataclass(frozen=True)
class TileFigures:
    """The patients with an infarct of one class; ``onset`` is that of a row of table 3, all where it is not asked.

    ``patch_accuracy`` is the share of a patient's balanced tiles that are called rightly, over patients;
    ``recognised`` the share of patients with an infarct tile called. On whole slices: ``found``, the share with a
    marked cluster that touches the infarct, and ``false_clusters`` marked elsewhere in a brain.
    """

    group: str
    by: str
    label: str
    onset: str
    scans: int
    patients: int
    balanced: Rates
    patch_accuracy: Spread
    recognised: Interval
    whole: Rates
    found: Interval
    false_clusters: Interval


@dataclass(frozen=True)
class FalseMarks:
    """What is wrongly marked on whole slices of healthy and of ill brains.

    ``clean``: the share of brains in which nothing is; ``tiles_pct`` that of free tiles, in percent; ``in_old``: the
    clusters a brain that touch an old infarct, where those were outlined.
    """

    group: str
    brains: str
    scans: int
    patients: int
    clusters: Interval
    clean: Interval
    tiles_pct: Interval
    in_old: Interval


@dataclass(frozen=True)
class LocalizeOverview:
    """What a cohort holds. ``no_*`` are patients with an infarct of whom that is not said; ``later`` those whose CT
    was taken more than 12 hours after onset; ``no_tiles`` those without an infarct tile."""

    group: str
    scans: int
    patients: int
    ill: int
    infarct_tiles: int
    normal_tiles: int
    grid_tiles: int
    grid_infarct_tiles: int
    partly: int
    no_tiles: int
    no_region: int
    no_area: int
    no_size: int
    no_onset: int
    later: int
    threshold: float
    whole_threshold: float
    seconds: Spread


@dataclass(frozen=True)
class LocalizeSummary:
    """All numbers of an evaluation of tiles."""

    overview: tuple[LocalizeOverview, ...]
    groups: tuple[TileFigures, ...]
    strata: tuple[TileFigures, ...]
    false_marks: tuple[FalseMarks, ...]


def summarise_localize(results: Sequence[LocalizeResult], *, resamples: int = RESAMPLES) -> LocalizeSummary:
    """Return the summary of all results, cohort by cohort; rates of tiles come from ``resamples`` draws."""
    cohorts = list(grouped(results).values())
    return LocalizeSummary(
        overview=tuple(_overview(cases) for cases in cohorts),
        groups=tuple(found for cases in cohorts for found in _groups(cases, resamples)),
        strata=tuple(found for cases in cohorts for found in _strata(cases, resamples)),
        false_marks=tuple(found for cases in cohorts for found in _false_marks(cases)),
    )


def members(cases: Sequence[LocalizeResult], group: str, onset: str = ALL) -> list[LocalizeResult]:
    """Return the scans with an infarct of one row of table 3."""
    ill = [case for case in cases if case.about.ill and GROUPS[group](case.about)]
    return ill if onset == ALL else [case for case in ill if ONSETS[onset](case.about)]


def classed(cases: Sequence[LocalizeResult], by: str) -> dict[str, list[LocalizeResult]]:
    """Return the scans with an infarct by a quantity of `STRATA`, classes in order, unknown last.

    Empty where it is known of none.
    """
    ill = [case for case in cases if case.about.ill]
    found: dict[str, list[LocalizeResult]] = {}
    for case in sorted(ill, key=lambda case: _place(by, case.about)):
        found.setdefault(STRATA[by](case.about), []).append(case)
    return found if set(found) - {UNKNOWN} else {}


def _place(by: str, about: LocalizeAbout) -> float:
    known = {DETECTABILITY.name: about.detectability, THICKNESS.name: about.thickness_mm}
    value = known.get(by, about.kvp)
    return np.inf if value is None else value


def _groups(cases: Sequence[LocalizeResult], resamples: int) -> Iterator[TileFigures]:
    """Yield the rows of table 3; those of a group that no patient is known to be of are left out."""
    for group in GROUPS:
        if members(cases, group):
            for onset in (*ONSETS, ALL):
                yield _figures(members(cases, group, onset), (cases[0].about.group, "group", group, onset), resamples)


def _strata(cases: Sequence[LocalizeResult], resamples: int) -> Iterator[TileFigures]:
    for by in STRATA:
        for label, found in classed(cases, by).items():
            yield _figures(found, (cases[0].about.group, by, label, ALL), resamples)


def _figures(cases: Sequence[LocalizeResult], names: tuple[str, str, str, str], resamples: int) -> TileFigures:
    """Return the numbers of some scans; ``names`` are cohort, what they are classed by, class, and onset."""
    with_tiles = [case for case in cases if case.infarct]
    return TileFigures(
        *names,
        scans=len(cases),
        patients=len(set(_patients(cases))),
        balanced=TileScores.balanced(cases).rates(resamples),
        patch_accuracy=spread((_number(case.patch_accuracy) for case in cases), cases),
        recognised=patient_bootstrap([float(bool(case.recognised)) for case in with_tiles], _patients(with_tiles)),
        whole=TileScores.whole(cases).rates(resamples),
        found=patient_bootstrap([float(case.found) for case in cases], _patients(cases)),
        false_clusters=_mean([float(case.clusters.false) for case in cases], cases),
    )


def _false_marks(cases: Sequence[LocalizeResult]) -> Iterator[FalseMarks]:
    for brains, ill in (("healthy", False), ("ill, outside the infarct", True)):
        chosen = [case for case in cases if case.about.ill == ill]
        if chosen:
            yield FalseMarks(
                group=cases[0].about.group,
                brains=brains,
                scans=len(chosen),
                patients=len(set(_patients(chosen))),
                clusters=_mean([float(case.clusters.false) for case in chosen], chosen),
                clean=_mean([float(case.clusters.false == 0) for case in chosen], chosen),
                tiles_pct=_mean([_marked_pct(case) for case in chosen], chosen),
                in_old=_mean([_number(case.clusters.false_in_old) for case in chosen], chosen),
            )


def _overview(cases: Sequence[LocalizeResult]) -> LocalizeOverview:
    ill = [case.about for case in cases if case.about.ill]
    return LocalizeOverview(
        group=cases[0].about.group,
        scans=len(cases),
        patients=len(set(_patients(cases))),
        ill=len(ill),
        infarct_tiles=sum(len(case.infarct) for case in cases),
        normal_tiles=sum(len(case.normal) for case in cases),
        grid_tiles=sum(len(case.all_infarct) + len(case.all_free) + case.partly for case in cases),
        grid_infarct_tiles=sum(len(case.all_infarct) for case in cases),
        partly=sum(case.partly for case in cases),
        no_tiles=sum(case.about.ill and not case.infarct for case in cases),
        no_region=sum(about.region is None for about in ill),
        no_area=sum(about.area is None and about.region != "infratentorial" for about in ill),
        no_size=sum(about.size is None for about in ill),
        no_onset=sum(about.onset_h is None for about in ill),
        later=sum(about.onset_h is not None and about.onset_h > LATE_H for about in ill),
        threshold=cases[0].threshold,
        whole_threshold=cases[0].whole_threshold,
        seconds=spread((_number(case.seconds) for case in cases), cases),
    )


def _marked_pct(case: LocalizeResult) -> float:
    free = np.array(case.all_free)
    return 100 * float(np.mean(free >= case.whole_threshold)) if len(free) else np.nan


def _mean(values: Sequence[float], cases: Sequence[LocalizeResult]) -> Interval:
    return patient_bootstrap(values, _patients(cases))


def _patients(cases: Sequence[LocalizeResult]) -> list[str]:
    return [case.about.patient for case in cases]


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
