"""Load every case of a cohort once and say what is in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from infarct.cohorts.case import Case, Cohort, LabelledScan, LeftOut
from infarct.errors import Refusal
from infarct.types import BoolArray
from infarct.volume import volume_ml


@dataclass(frozen=True)
class CaseFacts:
    """What a case's images hold; a volume is None where nothing was labelled, 0.0 where nothing is there.

    ``flags`` are the codes of the reader's warnings and critical doubts.
    """

    id: str
    slices: int
    spacing_mm_zyx: tuple[float, float, float]
    lesion_ml: float | None
    old_ml: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Examination:
    """A cohort whose remaining cases can all be loaded, and what they hold, in the same order."""

    cohort: Cohort
    facts: tuple[CaseFacts, ...]


def examine(cohort: Cohort, *, on_done: Callable[[int], None] = lambda _: None) -> Examination:
    """Return the cohort without the cases that cannot be loaded, and its cases knowing whether they are lesion-free.

    ``on_done`` is told how many cases are done. One case is in memory at a time.
    """
    cases: list[Case] = []
    facts: list[CaseFacts] = []
    left_out = list(cohort.left_out)
    for done, case in enumerate(cohort.cases, start=1):
        try:
            loaded = case.load()
        except Refusal as refusal:
            left_out.append(LeftOut(case.id, str(refusal)))
        else:
            facts.append(_facts(case.id, loaded))
            empty = None if loaded.lesion is None else not loaded.lesion.any()
            cases.append(replace(case, lesion_free=empty))
        on_done(done)
    return Examination(replace(cohort, cases=tuple(cases), left_out=tuple(left_out)), tuple(facts))


def _facts(name: str, loaded: LabelledScan) -> CaseFacts:
    geometry = loaded.scan.geometry

    def volume(mask: BoolArray | None) -> float | None:
        return None if mask is None else volume_ml(mask, geometry)

    return CaseFacts(
        id=name,
        slices=geometry.shape_zyx[0],
        spacing_mm_zyx=geometry.spacing_mm_zyx,
        lesion_ml=volume(loaded.lesion),
        old_ml=volume(loaded.old),
        flags=tuple(flag.code for flag in loaded.scan.flags if flag.severity != "info"),
    )
