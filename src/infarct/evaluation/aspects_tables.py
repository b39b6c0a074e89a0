"""The tables of an evaluation of ASPECTS, after tables 1 to 3 of the aspects paper."""

from collections.abc import Iterable, Sequence
from typing import Final, get_args

from infarct.anatomy import REGIONS
from infarct.evaluation.aspects import CORE, SYSTEM, AspectsResult, RegionResult
from infarct.evaluation.aspects_summary import (
    CLINICAL_CUT,
    QUANTITIES,
    STRATA,
    AspectsSummary,
    Counted,
    CutFigures,
    RegionFigures,
)
from infarct.evaluation.result import Failure
from infarct.evaluation.summary import grouped
from infarct.evaluation.tables import GROUP, Cell, Column, Table, file_name, number, without_answer
from infarct.measure.agreement import BlandAltman
from infarct.measure.decisions import Decisions

RIGHT_OR_WRONG: Final = (
    Column("sensitivity", "Sensitivity"),
    Column("specificity", "Specificity"),
    Column("accuracy", "Accuracy"),
    Column("balanced_accuracy", "Balanced accuracy"),
)
AUC: Final = Column("roc_auc", "ROC AUC")
_JUDGES: Final = (Column("judge", "Judge"), Column("reference", "Against"))
_COUNTS: Final = (
    Column("decisions", "Decisions"),
    Column("affected", "Affected"),
    Column("left_out", "Left out"),
)
_SCANS: Final = (Column("scans", "Scans"), Column("positives", "Positives"))
WORST: Final = 20
"""Scans a cohort that are listed for what went wrong."""
DECISIONS_A_PATIENT: Final[dict[Counted, str]] = {"affected hemisphere": "ten", "both hemispheres": "twenty"}
REGION_NOTE: Final = (
    "Decisions, with 95 % intervals from drawing patients. A region that a judge could not judge is left out and "
    "counted; it is never guessed. The column AUC of the aspects paper equals the balanced accuracy in every row: "
    "compare it with that. Subcortical are C, I, IC and L, as in the paper."
)
SCORE_NOTE: Final = (
    "Scores of the side of the stroke. A patient without one of the two scores is left out and counted. Differences "
    "are the judge's score less the reference's. 95 % intervals from drawing patients, of the mean difference by t."
)


def aspects_tables(
    summary: AspectsSummary, results: Sequence[AspectsResult], failures: Sequence[Failure]
) -> tuple[Table, ...]:
    """Return all tables that have rows, the most important first."""
    tables = (
        *(main_regions(summary, counted) for counted in get_args(Counted)),
        score_agreement(summary),
        dichotomised_scores(summary),
        *(by_class(summary, by) for by in STRATA),
        region_overlap(summary),
        clinical_groups(summary),
        clinical_correlations(summary),
        overview(summary),
        worst(results),
        all_regions(summary),
        without_answer(failures),
        cases(results),
    )
    return tuple(table for table in tables if table.rows)


def main_regions(summary: AspectsSummary, counted: Counted) -> Table:
    """Return the paper's table 1 for the system against core: each region, then all, cortical and subcortical."""
    found = [one for one in summary.regions if (one.judge, one.reference, one.counted) == (SYSTEM, CORE, counted)]
    columns = (GROUP, Column("area", "Region"), *_COUNTS, *RIGHT_OR_WRONG, AUC)
    rows = tuple((one.group, one.area, *_counts(one), *_rates(one.decisions), one.auc) for one in found)
    title = f"Regions against core, {counted} ({DECISIONS_A_PATIENT[counted]} decisions a patient)"
    return Table(file_name(f"regions {counted}"), title, columns, rows, REGION_NOTE)


def all_regions(summary: AspectsSummary) -> Table:
    """Return the areas of several regions for every judge and reference."""
    found = [one for one in summary.regions if one.area not in REGIONS]
    columns = (
        *(GROUP, *_JUDGES, Column("counted", "Counted"), Column("area", "Regions"), *_COUNTS),
        *(*RIGHT_OR_WRONG, AUC),
    )
    rows = tuple(
        (one.group, one.judge, one.reference, one.counted, one.area, *_counts(one), *_rates(one.decisions), one.auc)
        for one in found
    )
    return Table("regions_every_judge", "Regions, every judge", columns, rows, REGION_NOTE)


def score_agreement(summary: AspectsSummary) -> Table:
    """Return how scores agree; reader against reader is the ceiling that a system can be held to."""
    columns = (
        *(GROUP, *_JUDGES, Column("scans", "Scans"), Column("left_out", "Left out")),
        *(Column("icc_absolute", "ICC(A,1)"), Column("icc_consistency", "ICC(C,1)")),
        *(Column("spearman", "Spearman"), Column("spearman_p", "p")),
        *(Column("kappa_linear", "Linear kappa"), Column("kappa_quadratic", "Quadratic kappa")),
        *(Column("difference", "Mean difference", 2), Column("limits", "95 % limits")),
        *(Column("paired_t_p", "Paired t, p"), Column("ks_p", "K-S, p")),
    )
    rows = tuple(
        (
            *(one.group, one.judge, one.reference, one.scans, one.left_out),
            *(one.icc_absolute, one.icc_consistency, one.spearman, one.spearman_p),
            *(one.kappa_linear, one.kappa_quadratic, one.difference.mean, _limits(one.difference)),
            *(one.paired_t.p_value, one.kolmogorov_smirnov.p_value),
        )
        for one in summary.scores
    )
    return Table("scores", "Agreement of scores", columns, rows, SCORE_NOTE)


def dichotomised_scores(summary: AspectsSummary) -> Table:
    """Return scores as yes or no."""
    columns = (GROUP, *_JUDGES, Column("positive", "Positive"), *_SCANS, *RIGHT_OR_WRONG, AUC)
    rows = tuple(
        (
            *(one.group, one.judge, one.reference, _polarity(one)),
            *(one.decisions.count, one.decisions.positives, *_rates(one.decisions), one.auc),
        )
        for one in summary.cuts
    )
    note = (
        "Both polarities of 6: the aspects paper does not say which it used, and its counts do not agree with its "
        "median score. The ROC AUC is that of the score itself."
    )
    return Table("dichotomised", "Dichotomised scores, side of the stroke", columns, rows, note)


def by_class(summary: AspectsSummary, by: str) -> Table:
    """Return the main figures for each class of one quantity."""
    columns = (
        *(GROUP, Column("stratum", by.capitalize()), Column("patients", "Patients"), *_JUDGES),
        *(Column("accuracy", "Accuracy"), Column("balanced_accuracy", "Balanced accuracy"), AUC),
        *(Column("both_accuracy", "Both: accuracy"), Column("both_balanced_accuracy", "Both: balanced accuracy")),
        *(Column("both_roc_auc", "Both: ROC AUC"), Column("above_cut", f"> {CLINICAL_CUT}: balanced accuracy")),
        *(Column("icc_absolute", "ICC(A,1)"), Column("difference", "Mean difference", 2)),
    )
    rows = tuple(
        (
            *(one.group, one.label, one.patients, one.judge, one.reference),
            *(one.decisions.accuracy, one.decisions.balanced_accuracy, one.auc),
            *(one.both.accuracy, one.both.balanced_accuracy, one.both_auc),
            None if one.above_cut is None else one.above_cut.balanced_accuracy,
            *(one.icc_absolute, None if one.difference is None else one.difference.mean),
        )
        for one in summary.strata
        if one.by == by
    )
    note = (
        "Patients with a stroke: regions of the affected hemisphere, of both hemispheres where it says so, and scores "
        "of the side of the stroke."
    )
    return Table(file_name(f"by {by}"), f"By {by}", columns, rows, note)


def region_overlap(summary: AspectsSummary) -> Table:
    """Return the Dice of the regions as drawn."""
    columns: tuple[Column, ...] = (GROUP, Column("area", "Region"), Column("scans", "Scans"), Column("dice", "Dice"))
    note = "Mean ± SD over scans (95 % interval from drawing patients); both sides of a scan are one value."
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.group, one.area, one.dice.count, one.dice) for one in summary.overlap
    )
    if any(one.network is not None for one in summary.overlap):
        columns += (Column("network", "Network"), Column("atlas", "Atlas"), Column("gain", "Network less atlas"))
        drawn = ((one.network, one.atlas, one.gain) for one in summary.overlap)
        rows = tuple((*row, *more) for row, more in zip(rows, drawn, strict=True))
        note += " Dice is that of the regions that were scored: in each scan the network's or the atlas's."
    return Table("region_dice", "Overlap of the drawn regions with the true ones", columns, rows, note)


def clinical_groups(summary: AspectsSummary) -> Table:
    """Return the paper's table 2: clinical values of patients with high and low scores."""
    columns = (
        *(GROUP, Column("quantity", "Value"), Column("judge", "Score by"), Column("patients", "Patients")),
        Column("everyone", "All: median (quartiles)", 1, median=True),
        Column("above", f"ASPECTS > {CLINICAL_CUT}", 1, median=True),
        Column("at_most", f"ASPECTS ≤ {CLINICAL_CUT}", 1, median=True),
        Column("ks_p", "K-S, p"),
    )
    rows = tuple(
        (
            *(one.group, QUANTITIES[one.quantity], one.judge, one.everyone.count),
            *(one.everyone, one.above, one.at_most, one.kolmogorov_smirnov.p_value),
        )
        for one in summary.clinical
    )
    note = "p of the two-sample Kolmogorov-Smirnov test between both groups."
    return Table("clinical", "Clinical values by dichotomised score", columns, rows, note)


def clinical_correlations(summary: AspectsSummary) -> Table:
    """Return the paper's table 3: Spearman's correlation of scores with clinical values."""
    columns = (
        *(GROUP, Column("quantity", "Value"), Column("judge", "Score by"), Column("patients", "Patients")),
        *(Column("mean", "Mean ± SD", 2), Column("spearman", "Spearman"), Column("p", "p")),
    )
    rows = tuple(
        (
            *(one.group, QUANTITIES[one.quantity], one.judge, one.everyone.count),
            *(one.everyone, one.spearman, one.spearman_p),
        )
        for one in summary.clinical
    )
    return Table("clinical_correlations", "Scores and clinical values", columns, rows)


def overview(summary: AspectsSummary) -> Table:
    """Return what each cohort holds, and what the system left open."""
    columns = (
        *(GROUP, Column("scans", "Scans"), Column("patients", "Patients"), Column("strokes", "With a stroke")),
        *(Column("regions_not_judged", "Regions not judged"), Column("regions", "of")),
        *(Column("without_score", "Scans without a score"), Column("side_right", "Side of the stroke scored")),
        *(Column("untouched", "No stroke: score 10"), Column("points_lost", "No stroke: points lost", 2)),
        *(Column("interval_holds", "Interval holds core's score"), Column("interval_holds_strokes", "of strokes")),
        Column("seconds", "Seconds a scan", 1),
        *(Column("drawn_by_network", "Regions drawn by the network"), Column("regions_disagree", "Atlas disagrees")),
    )
    rows = tuple(
        (
            *(one.group, one.scans, one.patients, one.strokes, one.regions_not_judged, one.regions),
            *(one.without_score, one.side_right, one.untouched, one.points_lost),
            *(one.interval_holds, one.interval_holds_strokes, one.seconds),
            *(one.drawn_by_network, one.regions_disagree),
        )
        for one in summary.overview
    )
    note = (
        "The side counts in strokes with a region affected by core. Two sides a scan have twenty regions. The interval "
        "is meant to hold the score by core, of the side that was scored, in 95 % of all scans."
    )
    return Table("overview", "Scans, and what could not be said", columns, rows, note)


def worst(results: Sequence[AspectsResult]) -> Table:
    """Return the scans of each group in which most of the twenty regions were called wrongly, the worst first."""
    columns = (
        *(GROUP, Column("id", "Scan"), Column("side", "Stroke"), Column("wrong", "Wrong regions")),
        *(Column("missed", "Missed"), Column("wrongly_called", "Wrongly called"), Column("not_judged", "Not judged")),
        *(Column("core_score", "Score by core"), Column("system_score", "Score"), Column("core_ml", "Core, ml", 1)),
        *(Column("onset_h", "Time from onset, h", 1), Column("kvp", "kVp", 0), Column("dice", "Mean region Dice", 2)),
    )
    rows: list[tuple[Cell, ...]] = []
    for group in grouped(results).values():
        ranked = sorted(group, key=lambda case: -len(_wrong(case)))  # as they come where equally many are wrong
        rows += [_worst_row(case) for case in ranked[:WORST] if _wrong(case)]
    note = (
        f"Up to {WORST} scans a cohort, most regions called wrongly first, by core. Regions are the patient's left (L) "
        "and right (R)."
    )
    return Table("worst", "Where it fails: the scans with most wrong regions", columns, tuple(rows), note)


def _worst_row(case: AspectsResult) -> tuple[Cell, ...]:
    about, wrong = case.about, _wrong(case)
    missed, called = (_named([one for one in wrong if one.core is kind]) for kind in (True, False))
    dice = [one.dice for one in case.regions if one.dice is not None]
    return (
        *(about.group, about.id, about.side, len(wrong), missed, called, case.not_judged),
        *(case.score_by(CORE), case.score_by(SYSTEM), about.core_ml, about.onset_h, about.kvp),
        sum(dice) / len(dice) if dice else None,
    )


def _wrong(case: AspectsResult) -> list[RegionResult]:
    """Return the regions that were judged, and otherwise than by core."""
    return [one for one in case.regions if None not in (one.core, one.affected) and one.core != one.affected]


def _named(regions: Sequence[RegionResult]) -> str | None:
    return " ".join(f"{one.side[0].upper()}-{one.region}" for one in regions) or None


def cases(results: Sequence[AspectsResult]) -> Table:
    """Return every scan with its scores, and every region of it: truth, readers, system."""
    readers = max((result.readers for result in results), key=len, default=())
    about = ("group", "id", "patient", "side", "kvp", "onset_h", "core_ml")
    scores = ("core_score", *(f"{_word(name)}_score" for name in readers), "system_score", "final_score", "final_side")
    region = ("region", "region_side", "core", *map(_word, readers), "affected", "probability", "dice")
    drawn = ("drawn_by", "regions_disagree")
    columns = tuple(Column(name, name) for name in (*about, *scores, *region, "seconds", *drawn))
    rows = tuple(row for result in results for row in _case_rows(result, readers, about))
    return Table("cases", "Every region of every scan", columns, rows)


def _case_rows(result: AspectsResult, readers: Sequence[str], about: Sequence[str]) -> Iterable[tuple[Cell, ...]]:
    known = tuple(getattr(result.about, name) for name in about)
    scores = tuple(result.score_by(judge) for judge in (CORE, *readers, SYSTEM))
    for one in result.regions:
        calls = tuple(_digit(one.call(judge)) for judge in (CORE, *readers, SYSTEM))
        yield (
            *(*known, *scores, result.score, result.side),
            *(one.region, one.side, *calls, one.probability, one.dice, result.seconds),
            *(result.drawn_by, int(result.regions_disagree)),
        )


def _digit(call: bool | None) -> int | None:
    return None if call is None else int(call)


def _counts(one: RegionFigures) -> tuple[int, int, int]:
    return one.decisions.count, one.decisions.positives, one.left_out


def _rates(found: Decisions) -> tuple[Cell, ...]:
    return found.sensitivity, found.specificity, found.accuracy, found.balanced_accuracy


def _polarity(one: CutFigures) -> str:
    return f"{'>' if one.positive == 'above' else '≤'} {one.cut}"


def _limits(found: BlandAltman) -> str:
    return f"{number(found.low, 2)} to {number(found.high, 2)}"


def _word(name: str) -> str:
    return name.replace(" ", "")
