"""A user's own cohort made ready for training: read, brain and midsagittal plane found, brought to the network's grid.

Unlike phantoms this needs the readers and the registration, so it is kept apart from what a bare GPU machine imports.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from infarct.cohorts.case import Case
from infarct.cohorts.folds import folds
from infarct.errors import InfarctError
from infarct.phantom.workers import prepare_worker
from infarct.pipeline import prepare_head
from infarct.preprocess.segment_input import InputSetting, make_input
from infarct.training.cases import Prepared, Role, claim, labels_on, save_case, write_index
from infarct.volume import resample_mask

VALIDATION_FOLDS = 5
"""One fold in so many validates; the folds are by patient."""


def prepare_cohort_cases(
    cases: Sequence[Case],
    folder: Path,
    setting: InputSetting,
    *,
    fold: int = 0,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, int]:
    """Prepare labelled cases in ``folder``; return the path of its index and how many cases were left out.

    ``fold`` (0 to 4) is the fifth of the patients that validates. A case is left out where its scan is refused, where
    no brain is found in it, or where it has no lesion mask. Where old infarcts are not labelled they count as brain.
    A folder begun in the same way is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way, or there are fewer than five patients.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, {"setting": asdict(setting), "cohort": True})
    held_out = {case.id for case in folds(cases, VALIDATION_FOLDS, seed=seed)[fold]}
    waiting = [case for case in cases if not (folder / _file(case)).exists()]
    done = len(cases) - len(waiting)
    on_done(done, len(cases))
    work = partial(_prepare, folder=folder, setting=setting)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        for future in as_completed([pool.submit(work, case) for case in waiting]):
            future.result()
            done += 1
            on_done(done, len(cases))
    listed = [
        _listed(folder, case, "validation" if case.id in held_out else "train")
        for case in cases
        if (folder / _file(case)).exists()
    ]
    return write_index(folder, setting, listed), len(cases) - len(listed)


def _prepare(case: Case, *, folder: Path, setting: InputSetting) -> None:
    """Prepare one case, or leave it out."""
    try:
        loaded = case.load()
        if loaded.lesion is None:
            return
        head = prepare_head(loaded.scan)
    except InfarctError:
        return
    scan = loaded.scan
    if setting.spacing_mm_zyx is None:
        brain = resample_mask(head.brain, head.geometry, scan.geometry)
        prepared = make_input(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=setting)
    else:
        prepared = make_input(head.hu, head.geometry, brain=head.brain, plane=head.midplane, setting=setting)
    labels = labels_on(prepared.geometry, scan.geometry, brain=prepared.brain, acute=loaded.lesion, old=loaded.old)
    about = {"id": case.id, "patient": case.patient, "target": case.target, "onset_h": case.clinical.onset_h}
    save_case(folder / _file(case), prepared, labels, about)


def _file(case: Case) -> str:
    """Return a name that no identifier can be read from."""
    return f"case-{hashlib.sha256(case.id.encode()).hexdigest()[:16]}.npz"


def _listed(folder: Path, case: Case, role: Role) -> Prepared:
    with np.load(folder / _file(case)) as stored:
        n0, n1, n2, n3 = (int(count) for count in np.bincount(stored["labels"].ravel(), minlength=4))
        about = json.loads(str(stored["about"]))
    return Prepared(_file(case), about["id"], about["patient"], role, (n0, n1, n2, n3))
