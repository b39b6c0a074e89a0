"""One follow-up scan against its truth: the infarct by one or several sets of networks, and the blood.

The infarct is compared as it is told: with the parenchymal blood in it and beside it, in the truth by the same rule.
None is what nobody said.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from infarct.evaluation.result import Form
from infarct.measure.overlap import Counts
from infarct.measure.severity import Severity, followup_class, in_classes
from infarct.systems.blood_types import BLOOD_LABELS
from infarct.types import BoolArray, LabelArray
from infarct.volume import Geometry, volume_ml

THREE: Final = "three"
"""The networks for severe, intermediate and subtle infarcts together."""
SINGLE: Final = "single"
"""One network for all infarcts: what the paper compares its three with."""
UNET: Final = "unet"
"""The 3D network for all infarcts."""
METHODS: Final = (THREE, SINGLE, UNET)
TRANSFORMATION: Final = 5
"""Label of hemorrhagic transformation in the truth (`cohorts.LabelledScan`); it is parenchymal blood."""
NO_BLOOD: Final = "none"
FOUND_KINDS: Final[dict[str, int]] = {str(name): label for name, label in BLOOD_LABELS.items()} | {NO_BLOOD: 0}
"""Kinds of blood that are told."""
TRUE_KINDS: Final = {**FOUND_KINDS, "transformation": TRANSFORMATION}
"""Kinds of blood in the truth."""


@dataclass(frozen=True)
class FollowupAbout:
    """What is known of a scan and its patient.

    ``id`` and ``patient`` are keys, which name nobody; ``group`` is the cohort, ``fingerprint`` what scan and truth
    were read from. ``truth_ml`` is the infarct with the blood that counts to it, 0 without one; ``mean_hu`` its density
    without blood and fluid, None where nothing is left of it. ``blood_ml`` is all blood, None where nobody labelled it.
    """

    id: str
    patient: str
    group: str
    truth_ml: float
    mean_hu: float | None = None
    blood_ml: float | None = None
    onset_h: float | None = None
    mrs90: int | None = None
    fingerprint: str = ""

    @property
    def ill(self) -> bool:
        """Whether there is an infarct."""
        return self.truth_ml > 0

    @property
    def severity(self) -> Severity | None:
        """The class of the infarct, the nearest one where its density lies in none; None without a density."""
        return None if self.mean_hu is None else followup_class(self.mean_hu)

    @property
    def is_in_class(self) -> bool:
        """Whether the infarct's density lies in one of the classes."""
        return self.mean_hu is not None and in_classes(self.mean_hu)


@dataclass(frozen=True)
class BloodResult:
    """What was told of the blood of a scan.

    ``counts`` are voxels of blood of any kind, ``crossed_ml`` the ml of each true kind that were told as each kind, and
    what is neither is left out; both None where nobody labelled blood.
    """

    method: str
    suspected: bool
    found_ml: float
    probability: float | None = None
    counts: Counts | None = None
    crossed_ml: dict[str, dict[str, float]] | None = None


@dataclass(frozen=True)
class VolumeResult:
    """What one set of networks told of the infarct: its volume, and the voxels that it shares with the truth.

    ``by_network_ml`` is what each network marks; ``seconds`` are those of the whole scan, preparing included.
    """

    found_ml: float
    counts: Counts
    by_network_ml: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def dice(self) -> float:
        """Dice of the infarct; nan where there is none."""
        return self.counts.dice


@dataclass(frozen=True)
class FollowupResults:
    """What was told of one scan: its blood, and its infarct by each set of networks; at least one.

    ``midline_mm`` is how far the midline was found off the middle, None where it could not be told, and
    ``true_midline_mm`` how far it lies off, None where nobody knows; both positive to the patient's left.
    """

    about: FollowupAbout
    blood: BloodResult
    by_method: dict[str, VolumeResult]
    midline_mm: float | None = None
    true_midline_mm: float | None = None

    @property
    def midline_error_mm(self) -> float | None:
        """By how much the midline was told farther to the left than it lies; None where either is not known."""
        if self.midline_mm is None or self.true_midline_mm is None:
            return None
        return self.midline_mm - self.true_midline_mm


def crossed(true: LabelArray, found: LabelArray, geometry: Geometry) -> dict[str, dict[str, float]]:
    """Return the ml of each true kind of blood that were told as each kind; what is 0 ml is left out.

    ``true`` (labels of `TRUE_KINDS`) and ``found`` (of `FOUND_KINDS`) are uint8 (z, y, x) on ``geometry``.
    """
    any_blood = (true > 0) | (found > 0)
    table: dict[str, dict[str, float]] = {}
    for name, label in TRUE_KINDS.items():
        of_kind = any_blood & (true == label)
        told = {other: volume_ml(of_kind & (found == value), geometry) for other, value in FOUND_KINDS.items()}
        kept = {other: round(ml, 4) for other, ml in told.items() if ml > 0}
        if kept:
            table[name] = kept
    return table


def with_transformation(hemorrhage: LabelArray) -> LabelArray:
    """Return labelled blood (uint8, (z, y, x)) with that in an infarct as parenchymal, which it is told as."""
    parenchymal = np.uint8(BLOOD_LABELS["parenchymal"])
    return np.where(hemorrhage == TRANSFORMATION, parenchymal, hemorrhage).astype(np.uint8)


def labelled_blood(hemorrhage: LabelArray | None, shape: tuple[int, ...]) -> BoolArray:
    """Return the blood (bool, (z, y, x)) that was labelled: none where nobody looked."""
    return np.zeros(shape, dtype=bool) if hemorrhage is None else np.asarray(hemorrhage > 0)


def _read(stored: Mapping[str, Any]) -> FollowupResults:
    blood, by_method = dict(stored["blood"]), dict(stored["by_method"])
    if not by_method:
        raise ValueError("a scan has results of no networks")
    counts = blood.pop("counts")
    return FollowupResults(
        about=FollowupAbout(**stored["about"]),
        blood=BloodResult(counts=None if counts is None else Counts(**counts), **blood),
        by_method={str(name): _read_volume(one) for name, one in by_method.items()},
        midline_mm=stored["midline_mm"],
        true_midline_mm=stored["true_midline_mm"],
    )


def _read_volume(stored: Mapping[str, Any]) -> VolumeResult:
    found = dict(stored)
    return VolumeResult(counts=Counts(**found.pop("counts")), **found)


VOLUMETRY_FORM: Final = Form(asdict, _read)
