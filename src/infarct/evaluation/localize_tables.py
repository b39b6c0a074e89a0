"""The tables of an evaluation of tiles, the first after table 3 of the localize paper."""

from collections.abc import Sequence
from typing import Final

from infarct.evaluation.localize import LocalizeResult
from infarct.evaluation.localize_summary import STRATA, LocalizeSummary, Rates, TileFigures
from infarct.evaluation.result import Failure
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import GROUP, Cell, Column, Table, file_name, without_answer

WORST: Final = 20
"""Scans a cohort that are listed and shown for what went wrong."""
_CLASS: Final = (Column("label", "Patients"), Column("onset", "Onset"))
_COUNTS: Final = (Column("patients", "n"), Column("tiles", "Tiles"), Column("infarct_tiles", "Infarct tiles"))
_RATES: Final = (
    *(Column("accuracy", "Acc"), Column("sensitivity", "Sens"), Column("specificity", "Spec")),
    *(Column("precision", "Prec"), Column("f_score", "F"), Column("auc", "AUC"), Column("ap", "AP")),
)
_PATIENT: Final = (
    Column("patch_accuracy", "Patch-level accuracy"),
    Column("recognised", "Patient-level accuracy"),
)
_WHOLE_PATIENT: Final = (
    Column("found", "Patients found"),
    Column("false_clusters", "False clusters a brain", 2),
)
BALANCED_NOTE: Final = (
    "Tiles of the infarct and their mirrored places, pooled, with 95 % intervals from drawing patients. n: patients. "
    "Patch-level accuracy is the share of a patient's tiles, of both hemispheres, that are called rightly (mean ± SD "
    "over patients); patient-level accuracy the share of patients with an infarct tile called. The paper, in patients: "
    "all AUC .73, accuracy .73, specificity .78, precision .77, patient level .95; supratentorial AUC .73, sensitivity "
    ".77; infratentorial AUC .74 and .73, sensitivity .57, specificity .89, precision .78; cortical AUC .69 and .73; "
    "subcortical .77 and .78; cortical and subcortical .69 and .74; ≤ 1.5 cm AUC .78, sensitivity .77, AP .75."
)
WHOLE_NOTE: Final = (
    "All tiles of the brain of patients with an infarct, at the threshold for whole slices. Tiles that hold some of "
    "the infarct without being infarct tiles are left out of rates. A patient is found where a cluster of marked tiles "
    "touches the infarct; every other cluster is false, and where there are many, patients are found by chance. Few "
    "tiles are infarct: compare the AP with that share."
)


def localize_tables(
    summary: LocalizeSummary, results: Sequence[LocalizeResult], failures: Sequence[Failure]
) -> tuple[Table, ...]:
    """Return all tables that have rows, the most important first."""
    tables = (
        balanced(summary),
        whole_slices(summary),
        false_marks(summary),
        *(by_class(summary, by) for by in STRATA),
        overview(summary),
        worst(results),
        without_answer(failures),
        cases(results),
    )
    return tuple(table for table in tables if table.rows)


def balanced(summary: LocalizeSummary) -> Table:
    """Return the paper's table 3, with patch- and patient-level accuracy."""
    rows = tuple(
        (one.group, one.label, one.onset, *_counted(one, one.balanced), *_rates(one.balanced), *_patient(one))
        for one in summary.groups
    )
    title = "Balanced tiles, by group of patients and time from onset"
    return Table("balanced", title, (GROUP, *_CLASS, *_COUNTS, *_RATES, *_PATIENT), rows, BALANCED_NOTE)


def whole_slices(summary: LocalizeSummary) -> Table:
    """Return the same groups on whole slices."""
    rows = tuple(
        (
            *(one.group, one.label, one.onset, *_counted(one, one.whole), *_rates(one.whole)),
            *(one.found, one.false_clusters),
        )
        for one in summary.groups
    )
    title = "Whole slices, by group of patients and time from onset"
    return Table("whole_slices", title, (GROUP, *_CLASS, *_COUNTS, *_RATES, *_WHOLE_PATIENT), rows, WHOLE_NOTE)


def false_marks(summary: LocalizeSummary) -> Table:
    """Return what is wrongly marked in healthy and in ill brains."""
    columns = (
        *(GROUP, Column("brains", "Brains"), Column("scans", "Scans"), Column("patients", "n")),
        *(Column("clusters", "False clusters a brain", 2), Column("clean", "Brains without any")),
        *(Column("tiles_pct", "Free tiles marked, %", 2), Column("in_old", "Clusters a brain in old infarcts", 2)),
    )
    rows = tuple(
        (one.group, one.brains, one.scans, one.patients, one.clusters, one.clean, one.tiles_pct, one.in_old)
        for one in summary.false_marks
    )
    note = "Whole slices. Clusters in old infarcts are among the false ones."
    return Table("false_marks", "What is wrongly marked", columns, rows, note)


def by_class(summary: LocalizeSummary, by: str) -> Table:
    """Return the main figures for each class of one quantity."""
    whole = (Column("whole_auc", "Whole: AUC"), Column("whole_ap", "Whole: AP"), Column("whole_sens", "Whole: Sens"))
    columns = (GROUP, Column("label", by.capitalize()), *_COUNTS, *_RATES, *_PATIENT, *whole, *_WHOLE_PATIENT)
    rows = tuple(
        (
            *(one.group, one.label, *_counted(one, one.balanced), *_rates(one.balanced), *_patient(one)),
            *(one.whole.ranking.auc, one.whole.ranking.average_precision, one.whole.decisions.sensitivity),
            *(one.found, one.false_clusters),
        )
        for one in summary.strata
        if one.by == by
    )
    note = "Patients with an infarct; balanced tiles, and whole slices where it says so."
    return Table(file_name(f"by {by}"), f"By {by}", columns, rows, note)


def overview(summary: LocalizeSummary) -> Table:
    """Return what each cohort holds, and what it does not say."""
    names = {
        **{"scans": "Scans", "patients": "Patients", "ill": "With an infarct", "infarct_tiles": "Infarct tiles"},
        **{"normal_tiles": "Normal tiles", "grid_tiles": "Tiles of the grid", "grid_infarct_tiles": "of them infarct"},
        **{"partly": "partly so", "no_tiles": "Patients without an infarct tile", "no_region": "Region not told"},
        **{"no_area": "Area not told", "no_size": "Size not told", "no_onset": "Onset not told", "later": "> 12 h"},
        **{"threshold": "Threshold", "whole_threshold": "Threshold, whole slices", "seconds": "Seconds a scan"},
    }
    columns = (GROUP, *(Column(name, title) for name, title in names.items()))
    rows = tuple((one.group, *(getattr(one, name) for name in names)) for one in summary.overview)
    note = (
        "Patients of whom region, area or size is not told are in none of the groups that ask for it. Areas are those "
        "of supratentorial infarcts."
    )
    return Table("overview", "Scans and tiles", columns, rows, note)


def ranked_worst(cases: Sequence[LocalizeResult]) -> list[LocalizeResult]:
    """Return the scans of a cohort in which something went wrong, at most `WORST`.

    Missed infarcts come first, those with fewest balanced tiles called rightly ahead; then the scans with most false
    clusters.
    """
    missed = [case for case in cases if case.about.ill and not case.found]
    rest = [case for case in cases if (case.found or not case.about.ill) and case.clusters.false]
    missed.sort(key=lambda case: case.patch_accuracy or 0.0)
    rest.sort(key=lambda case: -case.clusters.false)
    return [*missed, *rest][:WORST]


def worst(results: Sequence[LocalizeResult]) -> Table:
    """Return the scans of each cohort in which most went wrong."""
    columns = (
        *(GROUP, Column("id", "Scan"), Column("found", "Found"), Column("false_clusters", "False clusters")),
        *(Column("patch_accuracy", "Patch-level accuracy", 2), Column("infarct_tiles", "Infarct tiles")),
        *(Column("region", "Region"), Column("area", "Area"), Column("lesion_ml", "Infarct, ml", 1)),
        *(Column("lesion_mm", "Longest, mm", 0), Column("detectability", "d'", 1)),
        *(Column("onset_h", "Time from onset, h", 1), Column("kvp", "kVp", 0)),
    )
    rows = tuple(
        (
            *(case.about.group, case.about.id, ("yes" if case.found else "no") if case.about.ill else None),
            *(case.clusters.false, case.patch_accuracy, len(case.infarct), case.about.region, case.about.area),
            *(case.about.lesion_ml, case.about.lesion_mm, case.about.detectability, case.about.onset_h, case.about.kvp),
        )
        for group in grouped(results).values()
        for case in ranked_worst(group)
    )
    note = f"Up to {WORST} scans a cohort: infarcts that were missed first, then the scans with most false clusters."
    return Table("worst", "Where it fails", columns, rows, note)


def cases(results: Sequence[LocalizeResult]) -> Table:
    """Return every scan."""
    about = (
        *("group", "id", "patient", "region", "area", "size", "onset_h", "detectability", "lesion_ml", "lesion_mm"),
        *("kvp", "thickness_mm"),
    )
    counts = ("infarct_tiles", "infarct_called", "normal_tiles", "normal_called", "patch_accuracy")
    whole = ("clusters_touch", "clusters_false", "clusters_false_in_old", "seconds")
    columns = tuple(Column(name, name) for name in (*about, "ill", *counts, *whole))
    rows = tuple(
        (*(getattr(case.about, name) for name in about), int(case.about.ill), *_case_counts(case)) for case in results
    )
    return Table("cases", "Every scan", columns, rows)


def _case_counts(case: LocalizeResult) -> tuple[Cell, ...]:
    called = (sum(score >= case.threshold for score in scores) for scores in (case.infarct, case.normal))
    infarct, normal = called
    clusters = case.clusters
    return (
        *(len(case.infarct), infarct, len(case.normal), normal, case.patch_accuracy),
        *(clusters.touch, clusters.false, clusters.false_in_old, case.seconds),
    )


def _counted(one: TileFigures, rates: Rates) -> tuple[int, int, int]:
    return one.patients, rates.decisions.count, rates.decisions.positives


def _rates(rates: Rates) -> tuple[Cell, ...]:
    found = rates.decisions
    return (
        *(found.accuracy, found.sensitivity, found.specificity, found.precision, found.f_score),
        *(rates.ranking.auc, rates.ranking.average_precision),
    )


def _patient(one: TileFigures) -> tuple[Cell, ...]:
    return one.patch_accuracy, one.recognised
