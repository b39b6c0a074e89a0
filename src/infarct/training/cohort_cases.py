"""A user's own cohort made ready for training: read, brain and midsagittal plane found, brought to the network's grid.

Unlike phantoms this needs the readers and the registration, so it is kept apart from what a bare GPU machine imports.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
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
TEST, VALIDATION = "test", "val"
"""Parts of a published data set, as `Case.stratum` has them under "split"."""
UNLABELLED = "there is no lesion mask"
KEPT_FOR_TESTS = "the patient is in the data set's own test part"


def prepare_cohort_cases(
    cases: Sequence[Case],
    folder: Path,
    setting: InputSetting,
    *,
    fold: int = 0,
    seed: int = 0,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, Mapping[str, int]]:
    """Prepare labelled cases in ``folder``; return the path of its index, and how many cases are left out for what.

    ``fold`` (0 to 4) is the fifth of the patients that validates, where the data set does not say itself who does. A
    case is left out where its scan or mask is refused, where no brain is found in it, where it has no lesion mask, and
    where its patient is in the data set's own test part. Where old infarcts are not labelled they count as brain. A
    folder begun with the same cases, none of whose files changed, is continued. Files hold keys in place of ids.

    Raises `BadRequest` where the folder holds other cases or they were prepared in another way, or where patients are
    too few for folds.
    """
    roles = roles_of(cases, fold=fold, seed=seed)
    files = {case.id: f"case-{case.fingerprint[:16]}.npz" for case in cases}
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, {"setting": asdict(setting), "cohort": True, "cases": _digest(files.values())})
    usable = [case for case in cases if case.id in roles]
    waiting = [case for case in usable if not (folder / files[case.id]).exists()]
    left_out: Counter[str | None] = Counter({KEPT_FOR_TESTS: len(cases) - len(usable)})
    done = len(cases) - len(waiting)
    on_done(done, len(cases))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        for future in as_completed(
            [pool.submit(_prepare, case, path=folder / files[case.id], setting=setting) for case in waiting]
        ):
            left_out[future.result()] += 1
            done += 1
            on_done(done, len(cases))
    there = [case for case in usable if (folder / files[case.id]).exists()]
    index = write_index(folder, setting, [_listed(folder / files[case.id], roles[case.id]) for case in there])
    return index, {reason: count for reason, count in left_out.most_common() if reason and count}


def roles_of(cases: Sequence[Case], *, fold: int, seed: int) -> dict[str, Role]:
    """Return by id what each case serves for that may be trained on; no patient has two roles.

    Raises `BadRequest` where the data set does not say who validates and patients are too few for folds.
    """
    tested = _patients(cases, TEST)
    usable = [case for case in cases if case.patient not in tested]
    validating = _patients(usable, VALIDATION)
    if not validating:
        validating = {case.patient for case in folds(usable, VALIDATION_FOLDS, seed=seed)[fold]}
    return {case.id: "validation" if case.patient in validating else "train" for case in usable}


def _patients(cases: Sequence[Case], split: str) -> set[str]:
    return {case.patient for case in cases if case.stratum.get("split") == split}


def _prepare(case: Case, *, path: Path, setting: InputSetting) -> str | None:
    """Prepare one case; return why it is left out, None where it is not."""
    try:
        loaded = case.load()
        if loaded.lesion is None:
            return UNLABELLED
        head = prepare_head(loaded.scan)
    except InfarctError as error:
        return str(error)
    scan = loaded.scan
    if setting.spacing_mm_zyx is None:
        brain = resample_mask(head.brain, head.geometry, scan.geometry)
        prepared = make_input(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=setting)
    else:
        prepared = make_input(head.hu, head.geometry, brain=head.brain, plane=head.midplane, setting=setting)
    labels = labels_on(prepared.geometry, scan.geometry, brain=prepared.brain, acute=loaded.lesion, old=loaded.old)
    about = {"id": case.key, "patient": case.patient_key, "target": case.target, "onset_h": case.clinical.onset_h}
    save_case(path, prepared, labels, about)
    return None


def _digest(files: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()


def _listed(path: Path, role: Role) -> Prepared:
    with np.load(path) as stored:
        n0, n1, n2, n3 = (int(count) for count in np.bincount(stored["labels"].ravel(), minlength=4))
        about = json.loads(str(stored["about"]))
    return Prepared(path.name, about["id"], about["patient"], role, (n0, n1, n2, n3))
