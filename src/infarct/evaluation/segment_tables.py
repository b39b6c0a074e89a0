"""The tables of a segmentation's evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

from infarct.evaluation.result import Failure
from infarct.evaluation.segment import MEASURES, PAPER_MEASURES, CaseResult
from infarct.evaluation.summary import DETECTABILITY, EVERY_SCAN, QUIET_ML, Stratum, Summary
from infarct.evaluation.tables import GROUP, Cell, Column, Table, file_name, without_answer
from infarct.measure.calibration import Reliability
from infarct.measure.lesions import MINIMUM_ML, OVERLAP
from infarct.measure.strata import LESION_VOLUME, ONSET

HOW_TO_READ: Final = (
    "Mean ± SD over scans (95 % interval from drawing patients). A measure that is not defined for a scan, such as the "
    "precision where nothing was predicted, is left out of its mean; a missed lesion has a Dice of 0."
)
LESION_RULE: Final = (
    f"Lesions are connected components of at least {MINIMUM_ML:g} ml; one is found where at least {100 * OVERLAP:g} % "
    "of it is marked, and a marked one is false where less than that of it is lesion."
)
IN_STRATA: Final = (*PAPER_MEASURES, "lesion_f1", "volume_difference_ml", "surface_mean_mm")
_SIZE: Final = (Column("scans", "Scans"), Column("patients", "Patients"))


def segment_tables(summary: Summary, results: Sequence[CaseResult], failures: Sequence[Failure]) -> tuple[Table, ...]:
    """Return all tables that have rows, the most important first."""
    tables = (
        overlap_summary(summary),
        all_measures(summary),
        *(by_stratum(summary, strata.name) for strata in (LESION_VOLUME, ONSET, DETECTABILITY)),
        lesion_free(summary),
        old_infarcts(summary),
        calibration(summary),
        without_answer(failures),
        cases(results),
    )
    return tuple(table for table in tables if table.rows)


def overlap_summary(summary: Summary) -> Table:
    """Return the paper's columns for all scans with a lesion of each cohort."""
    columns = (GROUP, *_SIZE, *_measure_columns(PAPER_MEASURES))
    rows = tuple(
        (one.group, one.scans, one.patients, *_measured(one, PAPER_MEASURES)) for one in summary.by(EVERY_SCAN)
    )
    note = f"{HOW_TO_READ} Specificity is counted inside the brain where that is known."
    return Table("overlap", "Overlap with the truth, scans with an acute lesion", columns, rows, note)


def all_measures(summary: Summary) -> Table:
    """Return every measure of each cohort, a row each."""
    columns = (
        GROUP,
        Column("measure", "Measure"),
        Column("defined", "Defined in"),
        Column("mean", "Mean ± SD (95 % interval)"),
        Column("median", "Median (quartiles)", median=True),
    )
    rows: list[tuple[Cell, ...]] = []
    digits: list[int] = []
    for one in summary.by(EVERY_SCAN):
        defined = [(MEASURES[name], found) for name, found in one.measures.items() if found.count]
        rows += [(one.group, measure.title, found.count, found, found) for measure, found in defined]
        rows.append((one.group, "Lesion F1, all lesions added up", one.scans, one.lesions.f1, None))
        rows.append((one.group, "Lesions found, of all", one.scans, one.lesions.sensitivity, None))
        digits += [*(measure.digits for measure, _ in defined), 3, 3]
    title = "All measures, scans with an acute lesion"
    return Table("measures", title, columns, tuple(rows), LESION_RULE, tuple(digits))


def by_stratum(summary: Summary, by: str) -> Table:
    """Return the main measures for each class of one quantity."""
    columns = (GROUP, Column("stratum", by.capitalize()), *_SIZE, *_measure_columns(IN_STRATA))
    rows = tuple((one.group, one.label, one.scans, one.patients, *_measured(one, IN_STRATA)) for one in summary.by(by))
    return Table(file_name(f"by {by}"), f"By {by}", columns, rows, HOW_TO_READ)


def lesion_free(summary: Summary) -> Table:
    """Return what was marked in scans without an acute lesion."""
    columns = (
        GROUP,
        *_SIZE,
        Column("false_positive_median_ml", "Marked, median ml (quartiles)", 2, median=True),
        Column("false_positive_ml", "Marked, mean ml ± SD", 2),
        Column("quiet", f"Share with at most {QUIET_ML:g} ml"),
        Column("untouched", "Share with nothing marked"),
        Column("false_lesions", "False lesions"),
    )
    rows = tuple(
        (
            one.group,
            one.scans,
            one.patients,
            one.false_positive_ml,
            one.false_positive_ml,
            one.quiet,
            one.untouched,
            one.false_lesions,
        )
        for one in summary.lesion_free
    )
    return Table("lesion_free", "Scans without an acute lesion", columns, rows, "Everything marked here is wrong.")


def old_infarcts(summary: Summary) -> Table:
    """Return how old infarcts were answered."""
    columns = (
        GROUP,
        *_SIZE,
        Column("truth_ml", "Old infarct, ml (quartiles)", 1, median=True),
        Column("dice", "Dice of the old class"),
        Column("called_acute_pct", "Called acute, % of it", 1),
        Column("pooled_called_acute_pct", "Called acute, % of all together", 1),
    )
    rows = tuple(
        (
            one.group,
            one.scans,
            one.patients,
            one.truth_ml,
            one.dice,
            one.called_acute_pct,
            one.pooled_called_acute_pct,
        )
        for one in summary.old
    )
    return Table("old_infarct", "Scans with an old infarct", columns, rows, HOW_TO_READ)


def calibration(summary: Summary) -> Table:
    """Return calibration scores over all voxels of each cohort."""
    columns = (
        GROUP,
        Column("scans", "Scans"),
        Column("ece", "Calibration error", 4),
        Column("ece_above_first_bin", "Above the lowest bin", 4),
        Column("brier", "Brier score", 4),
        Column("nll", "Log loss, nats", 4),
    )
    rows = tuple((one.group, one.scans, *_scores(one.reliability)) for one in summary.calibration)
    note = (
        "Voxels inside the brain where that is known. Most lie in the lowest bin of probability and are easy, so the "
        "error of the others stands beside."
    )
    return Table("calibration", "Calibration of the probability of acute infarct", columns, rows, note)


def cases(results: Sequence[CaseResult]) -> Table:
    """Return every measure of every scan."""
    about = tuple(Column(name, name) for name in ("group", "id", "patient", "target", "onset_h", "detectability"))
    counted = tuple(Column(name, name) for name in ("tp", "fp", "fn", "tn", "lesions_tp", "lesions_fp", "lesions_fn"))
    old = tuple(Column(name, name) for name in ("old_truth_ml", "old_predicted_ml", "old_dice", "old_called_acute_ml"))
    columns = (*about, *(Column(name, m.title, m.digits) for name, m in MEASURES.items()), *counted, *old)
    return Table("cases", "Every scan", columns, tuple(_case_row(case) for case in results))


def _case_row(case: CaseResult) -> tuple[Cell, ...]:
    a, c, lesions, old = case.about, case.counts, case.lesions, case.old
    about = (a.group, a.id, a.patient, a.target, a.onset_h, a.detectability)
    counted = (c.tp, c.fp, c.fn, c.tn, lesions.tp, lesions.fp, lesions.fn)
    aged: tuple[Cell, ...] = (None,) * 4 if old is None else tuple(asdict(old).values())
    return (*about, *(measure.of(case) for measure in MEASURES.values()), *counted, *aged)


def _measure_columns(names: Iterable[str]) -> tuple[Column, ...]:
    return tuple(Column(name, MEASURES[name].title, MEASURES[name].digits) for name in names)


def _measured(one: Stratum, names: Iterable[str]) -> tuple[Cell, ...]:
    return tuple(one.measures[name] for name in names)


def _scores(sums: Reliability) -> tuple[float, float, float, float]:
    overall, above = (sums.expected_calibration_error(first_bin=first) for first in (0, 1))
    return overall, above, sums.brier, sums.nll
