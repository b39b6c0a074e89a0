"""Results of the segmentation as JSON; a number that is not defined is null there and nan here."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from infarct.evaluation.result import Form, without_nan
from infarct.evaluation.segment import CaseAbout, CaseResult, OldResult
from infarct.measure.calibration import Reliability
from infarct.measure.lesions import LesionCounts
from infarct.measure.overlap import Counts

_MAY_BE_NONE: Final = ("old", "calibration")


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: part if part is None and name in _MAY_BE_NONE else _with_nan(part) for name, part in value.items()
        }
    return math.nan if value is None else value


def _written(result: CaseResult) -> dict[str, Any]:
    written: dict[str, Any] = without_nan(asdict(result))
    return written


def _read(stored: Mapping[str, Any]) -> CaseResult:
    found = _with_nan(stored)
    old, sums = found.pop("old"), found.pop("calibration")
    return CaseResult(
        about=CaseAbout(**found.pop("about")),
        counts=Counts(**found.pop("counts")),
        lesions=LesionCounts(**found.pop("lesions")),
        old=None if old is None else OldResult(**old),
        calibration=None if sums is None else _reliability(sums),
        **found,
    )


def _reliability(sums: Mapping[str, Any]) -> Reliability:
    return Reliability(
        voxels=tuple(sums["voxels"]),
        positives=tuple(sums["positives"]),
        probability_sums=tuple(sums["probability_sums"]),
        squared_error=sums["squared_error"],
        negative_log_likelihood=sums["negative_log_likelihood"],
    )


SEGMENT_FORM: Final = Form(_written, _read)
