"""A case: one head CT, what its reference says, and what is known of the patient.

None always means "nobody looked": a lesion that is None was not labelled, one that is empty was labelled and there is
nothing. Needs numpy and scipy only.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from infarct.anatomy import Side
from infarct.cohorts.aspects import AspectsTruth
from infarct.cohorts.fingerprint import fingerprint
from infarct.types import BoolArray, LabelArray
from infarct.volume import Scan

Target: TypeAlias = Literal["acute", "core", "final"]
"""What the lesion mask means: the acute infarct as far as this scan can show it; the core by perfusion, diffusion or
readers who knew them; or the final infarct of a later scan."""
Sex: TypeAlias = Literal["f", "m"]
Paired: TypeAlias = Literal["regions", "cbf", "dwi", "adc", "followup_ct", "followup_mask"]
PAIRED: Final[tuple[Paired, ...]] = ("regions", "cbf", "dwi", "adc", "followup_ct", "followup_mask")
"""Files beside the scan: ASPECTS regions on its grid, perfusion, diffusion, and a later CT (file or folder)."""
KEY_DIGITS: Final = 12
"""Hexadecimal digits of a key: two of a million cases share one with a chance of 1 in 500."""
_TYPES: Final[dict[str, type]] = {
    **dict.fromkeys(("lesion", "old", "intracranial"), bool),
    **dict.fromkeys(("hemorrhage", "regions"), np.uint8),
}


@dataclass(frozen=True)
class Clinical:
    """What a trial's table says of a case; None where it does not. ``onset_h`` counts from onset to this scan."""

    onset_h: float | None = None
    age: float | None = None
    sex: Sex | None = None
    side: Side | None = None
    nihss: int | None = None
    mrs90: int | None = None
    aspects: int | None = None


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """A scan with its reference, all on the scan's geometry, (z, y, x).

    ``lesion`` is the infarct that the case's `Target` names, ``old`` healed infarcts, ``intracranial`` the inside of
    the skull (bool); ``hemorrhage`` (uint8) is 1 parenchymal, 2 intraventricular, 3 subarachnoid, 4 subdural,
    5 transformation of the infarct; ``regions`` (uint8) the ASPECTS regions, labels of `infarct.anatomy`. None: not
    labelled. Empty: labelled, and there is nothing. ``detectability`` is the ideal observer's d' of the acute infarct
    in this scan, anatomy included, where the scan is simulated, and ``midline_shift_mm`` how far the midline lies off,
    positive to the patient's left. ``aspects`` says which regions are affected.

    Raises `ValueError` where an array does not fit the scan or has another type.
    """

    scan: Scan
    lesion: BoolArray | None = None
    old: BoolArray | None = None
    hemorrhage: LabelArray | None = None
    intracranial: BoolArray | None = None
    detectability: float | None = None
    regions: LabelArray | None = None
    aspects: AspectsTruth | None = None
    midline_shift_mm: float | None = None

    def __post_init__(self) -> None:
        for name, dtype in _TYPES.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != self.scan.hu.shape or array.dtype != dtype:
                raise ValueError(f"{name} does not lie on the scan's grid or is of another type than {dtype}")


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One case of a cohort; its images are read by `load` only. Has no `repr`: it would carry patient data into logs.

    ``id`` tells cases of a cohort apart, ``patient`` says which belong together and must stay in one fold. ``stratum``
    holds names of subgroups. ``paired`` has the files beside the scan that exist. ``lesion_free`` says whether the
    lesion mask is empty, where that is known without reading it. ``loader`` can be pickled. ``synthetic``: nobody's.

    Results and prepared cases hold `key` and `patient_key`, never ``id`` and ``patient``, which may be a person's.
    """

    id: str
    patient: str
    target: Target
    loader: Callable[[], LabelledScan]
    clinical: Clinical = Clinical()
    stratum: Mapping[str, str] = field(default_factory=dict)
    paired: Mapping[Paired, Path] = field(default_factory=dict)
    lesion_free: bool | None = None
    synthetic: bool = False

    @property
    def key(self) -> str:
        """What stands for the id in every file that is written: a digest of it, or the id where it is synthetic."""
        return self.id if self.synthetic else key_of(self.id)

    @property
    def patient_key(self) -> str:
        """What stands for the patient, as `key` does for the id."""
        return self.patient if self.synthetic else key_of(self.patient)

    @property
    def fingerprint(self) -> str:
        """SHA-256 that changes where the case or a file of it does, looked up anew each time."""
        return fingerprint(self.loader, self.id, self.patient, self.target, self.clinical.onset_h)

    def load(self) -> LabelledScan:
        """Return the scan and its reference, read or rendered anew at each call.

        Raises `Refusal` with one line that holds neither path nor patient data, where a file cannot be read or a mask
        does not lie on the scan's grid: leave the case out and say why.
        """
        return self.loader()


def key_of(text: str) -> str:
    """Return the first digits of the SHA-256 of an identifier."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()[:KEY_DIGITS]


class LeftOut(NamedTuple):
    """A case that a cohort holds but that cannot be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True, eq=False)
class Cohort:
    """What a folder holds. ``kind`` is the name of the layout, ``notes`` are what a user must know of it."""

    kind: str
    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> dict[str, int]:
        """How many of the cases lack each clinical value and each paired file; what none lacks is not listed."""
        counts = {
            entry.name: sum(getattr(case.clinical, entry.name) is None for case in self.cases)
            for entry in fields(Clinical)
        }
        counts |= {name: sum(name not in case.paired for case in self.cases) for name in PAIRED}
        return {name: count for name, count in counts.items() if count}
