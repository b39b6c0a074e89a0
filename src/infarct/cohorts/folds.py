"""Folds for cross-validation: by patient, the same again each time, lesion-free cases spread evenly."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from infarct.cohorts.case import Case
from infarct.errors import BadRequest


def folds(cases: Sequence[Case], k: int = 5, *, seed: int = 0) -> tuple[tuple[Case, ...], ...]:
    """Return ``k`` groups of cases; group i is what fold i holds out. No patient stands in two groups.

    Patients with a lesion, without one, and those of whom it is not known (`Case.lesion_free` is None: let `examine`
    find out) are shuffled apart and dealt to the group that has the fewest cases of their kind. The order of ``cases``
    does not matter.

    Raises `BadRequest` where there are fewer patients than groups or fewer than two groups.
    """
    by_patient: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.id):
        by_patient[case.patient].append(case)
    if k < 2 or len(by_patient) < k:
        raise BadRequest(f"{k} folds cannot be made of {len(by_patient)} patients; take 2 to {len(by_patient)}")
    random = np.random.Generator(np.random.Philox(seed))
    groups: list[list[Case]] = [[] for _ in range(k)]
    for kind in ("lesion", "lesion-free", "unknown"):
        patients = [patient for patient in sorted(by_patient) if _kind(by_patient[patient]) == kind]
        order = [patients[place] for place in random.permutation(len(patients))]
        dealt = [0] * k
        # Patients with many cases first, so that the small ones even the groups out.
        for patient in sorted(order, key=lambda patient: -len(by_patient[patient])):
            group = min(range(k), key=lambda i: (dealt[i], len(groups[i]), i))
            groups[group] += by_patient[patient]
            dealt[group] += len(by_patient[patient])
    return tuple(tuple(group) for group in groups)


def _kind(cases: Sequence[Case]) -> str:
    """Return what is known of a patient's lesions: one suffices."""
    if any(case.lesion_free is False for case in cases):
        return "lesion"
    return "lesion-free" if all(case.lesion_free for case in cases) else "unknown"
