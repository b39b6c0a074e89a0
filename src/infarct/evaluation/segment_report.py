"""What an evaluation of the segmentation leaves behind."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infarct.evaluation.figures import png, segment_figures
from infarct.evaluation.gallery import choose, gallery
from infarct.evaluation.report import Content, about_run, pictures_of, write_report
from infarct.evaluation.result import Failure, Outcome, without_nan
from infarct.evaluation.run import PICTURES, Task
from infarct.evaluation.segment import CaseResult
from infarct.evaluation.segment_tables import segment_tables
from infarct.evaluation.summary import Summary, summarise

GALLERY: Final = "gallery"


def write_segment_report(
    outcomes: Sequence[Outcome[CaseResult]], tasks: Sequence[Task], folder: Path, settings: Mapping[str, Any]
) -> Path:
    """Write everything about the ``outcomes`` of ``tasks`` into ``folder`` and return the path of the tables."""
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    summary = summarise(results)
    content = Content(
        title="Evaluation of the segmentation",
        tables=segment_tables(summary, results, failures),
        figures=_figures(results, summary, tasks, folder),
        metrics=metrics_of(summary, failures, settings),
    )
    return write_report(content, folder)


def metrics_of(summary: Summary, failures: Sequence[Failure], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``metrics.json``: the summary as it is, a number that is not defined as null."""
    found: dict[str, Any] = without_nan(asdict(summary))
    for part, one in zip(found["calibration"], summary.calibration, strict=True):
        sums = one.reliability
        part["expected_calibration_error"] = _null(sums.expected_calibration_error())
        part["expected_calibration_error_above_first_bin"] = _null(sums.expected_calibration_error(first_bin=1))
        part["brier"], part["nll"] = _null(sums.brier), _null(sums.nll)
    return about_run(settings, failures) | found


def _figures(
    results: Sequence[CaseResult], summary: Summary, tasks: Sequence[Task], folder: Path
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the PNG of each figure, and of the page of chosen scans where there are pictures."""
    for drawing in segment_figures(results, summary.calibration):
        yield drawing.name, png(drawing.figure)
    picture_of = pictures_of(tasks, folder / PICTURES)
    chosen = [choice for choice in choose(results) if picture_of(choice.result) is not None]
    if chosen:
        yield GALLERY, gallery(chosen, picture_of)


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value
