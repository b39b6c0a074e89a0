"""A user's cohort made ready: the lesion keeps its side, and what cannot be used is left out and counted."""

import json
from pathlib import Path

import numpy as np
import pytest

from infarct.cohorts.case import Case, LabelledScan
from infarct.errors import UnreadableInput
from infarct.preprocess.segment_input import EVERYDAY
from infarct.training import cohort_cases
from infarct.training.cases import ACUTE
from infarct.training.cohort_cases import _prepare, prepare_cohort_cases
from plain_head import PlainPatient, make_plain_patient


@pytest.fixture(scope="module")
def patient() -> PlainPatient:
    return make_plain_patient(5)


def refused() -> LabelledScan:
    raise UnreadableInput("the file is truncated")


def test_the_lesion_keeps_its_side_and_volume(patient: PlainPatient, tmp_path: Path) -> None:
    truth = patient.truth
    case = Case("a", "p", "acute", lambda: LabelledScan(patient.scan, lesion=truth.infarct))
    _prepare(case, folder=tmp_path, setting=EVERYDAY)
    with np.load(tmp_path / cohort_cases._file(case)) as stored:
        labels, spacing = stored["labels"], stored["spacing_mm_zyx"]
    columns = np.argwhere(labels == ACUTE)[:, 2]
    assert (columns.mean() > labels.shape[2] / 2) == (truth.side == "left")
    true_ml = float(truth.infarct.sum(axis=(1, 2)) @ patient.scan.geometry.slice_voxel_ml)
    assert (labels == ACUTE).sum() * spacing.prod() / 1000 == pytest.approx(true_ml, rel=0.15)


def test_cases_that_cannot_be_used_are_counted(
    patient: PlainPatient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Here:
        """Runs at once what a pool of processes would."""

        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> "Here":
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, work, case):  # type: ignore[no-untyped-def]
            from concurrent.futures import Future

            future: Future[None] = Future()
            future.set_result(work(case))
            return future

    monkeypatch.setattr(cohort_cases, "ProcessPoolExecutor", Here)
    unlabelled = LabelledScan(patient.scan)
    cases = [Case(f"{n}", f"p{n}", "acute", refused) for n in range(4)]
    cases.append(Case("4", "p4", "acute", lambda: unlabelled))
    index, left_out = prepare_cohort_cases(cases, tmp_path, EVERYDAY)
    assert left_out == 5
    assert json.loads(index.read_text())["cases"] == []
    assert "p4" not in (tmp_path / "prepared.json").read_text()
