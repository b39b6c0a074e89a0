"""The tables of an evaluation of volumetry, the first after table 2 of the volumetry paper."""

from collections.abc import Sequence
from typing import Final

from infarct.evaluation.result import Failure
from infarct.evaluation.summary import QUIET_ML, grouped
from infarct.evaluation.tables import GROUP, Cell, Column, Table, without_answer
from infarct.evaluation.volumetry import FOUND_KINDS, TRUE_KINDS, FollowupResults
from infarct.evaluation.volumetry_summary import VolumetrySummary
from infarct.measure.severity import SEVERITIES

WORST: Final = 20
"""Scans a cohort that are listed for what went wrong."""
METHOD: Final = Column("method", "Networks")
LABEL: Final = Column("label", "Infarcts")
_MEASURES: Final = (
    *(Column("icc_absolute", "ICC(A,1)"), Column("icc_consistency", "ICC(C,1)"), Column("dice", "Dice")),
    Column("bias", "Bias, ml", 1),
)
VOLUMES_NOTE: Final = (
    "Volumes with the parenchymal blood in and beside the infarct. Classes are those of the true infarct's mean "
    "density without blood: severe 14 to 22 HU, intermediate to 32, subtle to 44; the last row gives each its share of "
    "the paper's test scans. 95 % intervals from drawing patients; limits of agreement are bias ± 1.96 SD. ICC: below "
    ".4 poor, to .6 fair, to .75 good, above excellent. The paper, in patients: ICC severe .98, intermediate .93, "
    "subtle .66, all .88; Dice .78, .61, .37 and .57; one network alone ICC .34, Dice .18."
)
BLOOD_NOTE: Final = "Blood counts as found where it is suspected at all. Dice over all voxels of blood, of any type."
ALARMS_NOTE: Final = "Heads in which nobody drew blood: healthy ones have no infarct either."
TYPES_NOTE: Final = (
    "ml over all scans; rows are the truth, columns what was told. Transformation is blood in the infarct, told "
    "rightly as parenchymal."
)


def volumetry_tables(
    summary: VolumetrySummary, results: Sequence[FollowupResults], failures: Sequence[Failure]
) -> tuple[Table, ...]:
    """Return all tables that have rows, the most important first."""
    tables = (
        volumes(summary),
        differences(summary),
        false_volumes(summary),
        blood(summary),
        false_alarms(summary),
        blood_types(summary),
        outcomes(summary),
        overview(summary),
        worst(results),
        without_answer(failures),
        cases(results),
    )
    return tuple(table for table in tables if table.rows)


def volumes(summary: VolumetrySummary) -> Table:
    """Return how volumes agree, by class."""
    columns = (
        *(GROUP, METHOD, LABEL, Column("scans", "Scans"), Column("patients", "n")),
        *(Column("truth_ml", "True, ml (median)", 1, median=True), Column("found_ml", "Told, ml (median)", 1, True)),
        *(*_MEASURES, Column("limit_low", "Lower limit, ml", 1), Column("limit_high", "Upper limit, ml", 1)),
    )
    rows = tuple(
        (
            *(one.group, one.method, one.label, one.scans, one.patients, one.truth_ml, one.found_ml),
            *(one.icc_absolute, one.icc_consistency, one.dice, one.bias, *one.limits),
        )
        for one in summary.volumes
    )
    return Table("volumes", "Volume of the infarct, by class", columns, rows, VOLUMES_NOTE)


def differences(summary: VolumetrySummary) -> Table:
    """Return other networks less the first."""
    columns = (GROUP, METHOD, Column("first", "Less"), LABEL, Column("scans", "Scans"), *_MEASURES)
    rows = tuple(
        (
            *(one.group, one.method, one.first, one.label, one.scans),
            *(one.icc_absolute, one.icc_consistency, one.dice, one.bias),
        )
        for one in summary.differences
    )
    note = (
        "The same scans for both, and the same patients drawn for both; intervals hold nothing of chance in training."
    )
    return Table("differences", "Networks side by side", columns, rows, note)


def false_volumes(summary: VolumetrySummary) -> Table:
    """Return what is marked where there is no infarct."""
    columns = (
        *(GROUP, METHOD, Column("scans", "Scans"), Column("patients", "n")),
        *(Column("found_ml", "Told, ml (median)", 1, median=True), Column("quiet", f"At most {QUIET_ML:g} ml")),
    )
    rows = tuple(
        (one.group, one.method, one.scans, one.patients, one.found_ml, one.quiet) for one in summary.false_volumes
    )
    return Table("false_volumes", "Scans without an infarct", columns, rows)


def blood(summary: VolumetrySummary) -> Table:
    """Return how blood is found, by its volume."""
    columns = (
        *(GROUP, Column("label", "Blood"), Column("scans", "Scans"), Column("patients", "n")),
        *(Column("suspected", "Sensitivity"), Column("dice", "Dice"), Column("truth_ml", "True, ml (median)", 1, True)),
        Column("found_ml", "Told, ml (median)", 1, median=True),
    )
    rows = tuple(
        (one.group, one.label, one.scans, one.patients, one.suspected, one.dice, one.truth_ml, one.found_ml)
        for one in summary.blood
    )
    return Table("blood", "Hemorrhage, by its volume", columns, rows, BLOOD_NOTE)


def false_alarms(summary: VolumetrySummary) -> Table:
    """Return in how many heads without blood it is suspected."""
    columns = (
        *(GROUP, Column("heads", "Heads"), Column("scans", "Scans"), Column("patients", "n")),
        Column("per_100", "False alarms in 100 heads", 1),
    )
    rows = tuple((one.group, one.heads, one.scans, one.patients, one.per_100) for one in summary.false_alarms)
    return Table("false_alarms", "False alarms of hemorrhage", columns, rows, ALARMS_NOTE)


def blood_types(summary: VolumetrySummary) -> Table:
    """Return which types of blood are told for which, in ml."""
    columns = (GROUP, Column("kind", "Truth"), *(Column(kind, f"Told {kind}, ml", 1) for kind in FOUND_KINDS))
    groups = dict.fromkeys(one.group for one in summary.blood_types)
    by_kind = {(one.group, one.kind): one.told_ml for one in summary.blood_types}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (group, kind, *(by_kind[group, kind].get(other, 0.0) for other in FOUND_KINDS))
        for group in groups
        for kind in TRUE_KINDS
        if (group, kind) in by_kind
    )
    return Table("blood_types", "Types of hemorrhage, by volume", columns, rows, TYPES_NOTE)


def outcomes(summary: VolumetrySummary) -> Table:
    """Return how volumes go with the outcome."""
    columns = (GROUP, Column("method", "Volume by"), Column("scans", "Scans"), Column("spearman", "Spearman", 2))
    rows = tuple((one.group, one.method, one.scans, one.spearman) for one in summary.outcomes)
    note = "Scans with an infarct of patients whose modified Rankin score after 90 days is known."
    return Table("outcomes", "Volume and 90-day mRS", columns, rows, note)


def overview(summary: VolumetrySummary) -> Table:
    """Return what each cohort holds, and what it does not say."""
    before = {"scans": "Scans", "refused": "Without an answer", "patients": "Patients", "ill": "With an infarct"}
    after = {
        **{"outside": "Density in no class", "no_class": "Density unknown", "blood": "With blood"},
        **{"no_blood_label": "Blood not labelled", "blood_auc": "AUC of the probability of blood"},
        **{"midline_told": "Midline measured", "midline_error": "Its error, mm", "seconds": "Seconds a scan"},
    }
    columns = (
        GROUP,
        *(Column(name, title) for name, title in before.items()),
        *(Column(name, name.capitalize()) for name in SEVERITIES),
        *(Column(name, title) for name, title in after.items()),
    )
    rows = tuple(
        (
            one.group,
            *(getattr(one, name) for name in before),
            *(one.by_class[name] for name in SEVERITIES),
            *(getattr(one, name) for name in after),
        )
        for one in summary.overview
    )
    note = "Scans without an answer are in no other number. Seconds are those of the first networks."
    return Table("overview", "Scans", columns, rows, note)


def worst(results: Sequence[FollowupResults]) -> Table:
    """Return the scans of each cohort in which the first networks were most wrong."""
    columns = (
        *(GROUP, Column("id", "Scan"), Column("severity", "Class"), Column("truth_ml", "True, ml", 1)),
        *(Column("found_ml", "Told, ml", 1), Column("dice", "Dice"), Column("mean_hu", "Density, HU", 1)),
        *(Column("blood_ml", "Blood, ml", 1), Column("onset_h", "Time from onset, h", 0)),
    )
    rows = tuple(
        (
            *(case.about.group, case.about.id, case.about.severity, case.about.truth_ml, told.found_ml),
            *(told.dice if case.about.ill else None, case.about.mean_hu, case.about.blood_ml, case.about.onset_h),
        )
        for group in grouped(results).values()
        for case in ranked_worst(group)
        for told in [next(iter(case.by_method.values()))]
    )
    note = f"Up to {WORST} scans a cohort by the difference of told and true volume, the largest first."
    return Table("worst", "Where it fails", columns, rows, note)


def ranked_worst(cases: Sequence[FollowupResults]) -> list[FollowupResults]:
    """Return the scans of a cohort by the first networks' error of volume, the largest first, at most `WORST`."""
    return sorted(cases, key=lambda case: -abs(error_ml(case)))[:WORST]


def error_ml(case: FollowupResults) -> float:
    """Return what the first networks told less the truth, in ml."""
    return next(iter(case.by_method.values())).found_ml - case.about.truth_ml


def cases(results: Sequence[FollowupResults]) -> Table:
    """Return every scan, a row for each set of networks."""
    about = ("group", "id", "patient", "severity", "mean_hu", "truth_ml", "blood_ml", "onset_h", "mrs90")
    networks = dict.fromkeys(name for case in results for one in case.by_method.values() for name in one.by_network_ml)
    columns = tuple(
        Column(name, name)
        for name in (
            *(*about, "method", "found_ml", "dice", *(f"{name}_ml" for name in networks)),
            *("blood_method", "blood_suspected", "blood_found_ml", "blood_probability"),
            *("midline_mm", "true_midline_mm", "seconds"),
        )
    )
    rows = tuple(
        (
            *(getattr(case.about, name) for name in about),
            *(method, told.found_ml, told.dice, *(told.by_network_ml.get(name) for name in networks)),
            *_blood_cells(case),
            *(case.midline_mm, case.true_midline_mm, told.seconds),
        )
        for case in results
        for method, told in case.by_method.items()
    )
    return Table("cases", "Every scan", columns, rows)


def _blood_cells(case: FollowupResults) -> tuple[Cell, ...]:
    found = case.blood
    return found.method, int(found.suspected), found.found_ml, found.probability
