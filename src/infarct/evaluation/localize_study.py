"""Several networks over the tiles of patients that they were not trained on: what each makes of them, in numbers.

Tiles of the infarct are held against those at their mirrored places, as in the localize paper; with tiles that are
healthy on both sides there is one number more. Intervals come from drawing patients, and do not know what chance did in
training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from infarct.measure.bootstrap import RESAMPLES, Interval, patient_bootstrap
from infarct.measure.decisions import Decisions, decisions
from infarct.measure.ranking import Ranking, ranking
from infarct.types import BoolArray, Float64Array

Kind = Literal["infarct", "mirrored", "other", "healthy"]
KINDS: Final[tuple[Kind, ...]] = ("infarct", "mirrored", "other", "healthy")
"""Tiles of the infarct; at its mirrored place; of old lesions and blood; free of lesions, as the mirrored place is."""


@dataclass(frozen=True, eq=False)
class TileCalls:
    """Tiles as a network judged them: whose each is, its place in `KINDS`, and its logit of infarct, all (n,)."""

    patients: tuple[str, ...]
    kinds: npt.NDArray[np.intp]
    logits: Float64Array

    def of(self, chosen: BoolArray) -> "TileCalls":
        """Return some of the tiles."""
        patients = tuple(patient for patient, keep in zip(self.patients, chosen, strict=True) if keep)
        return TileCalls(patients, self.kinds[chosen], self.logits[chosen])

    def of_kinds(self, *kinds: Kind) -> "TileCalls":
        """Return the tiles of some kinds."""
        return self.of(np.isin(self.kinds, [KINDS.index(kind) for kind in kinds]))

    def of_patients(self, patients: frozenset[str]) -> "TileCalls":
        """Return the tiles of some patients."""
        return self.of(np.array([patient in patients for patient in self.patients], dtype=bool))

    @property
    def infarct(self) -> BoolArray:
        """Which tiles are infarct."""
        return np.asarray(self.kinds == KINDS.index("infarct"))

    @property
    def called(self) -> BoolArray:
        """Which tiles the network calls infarct: from a probability of .5 on."""
        return self.logits >= 0


@dataclass(frozen=True)
class TileMeasures:
    """What `measured` finds.

    Over tiles of the infarct and at mirrored places: ``ranking``, ``decisions``, ``patch_accuracy`` (the share of a
    patient's tiles that are called rightly, over patients) and ``recognised`` (the share of patients with a tile of
    the infarct called). ``healthy_auc`` holds the infarct against tiles that are healthy on both sides.
    """

    patients: int
    tiles: int
    infarct_tiles: int
    ranking: Ranking
    decisions: Decisions
    patch_accuracy: Interval
    recognised: Interval
    healthy_auc: Interval

    @property
    def values(self) -> dict[str, Interval]:
        """All that is measured, by name."""
        return {
            "average_precision": self.ranking.average_precision,
            "auc": self.ranking.auc,
            "accuracy": self.decisions.accuracy,
            "sensitivity": self.decisions.sensitivity,
            "specificity": self.decisions.specificity,
            "precision": self.decisions.precision,
            "f_score": self.decisions.f_score,
            "patch_accuracy": self.patch_accuracy,
            "recognised": self.recognised,
            "healthy_auc": self.healthy_auc,
        }


def joined(parts: Sequence[TileCalls]) -> TileCalls:
    """Return the tiles of several parts as one."""
    return TileCalls(
        tuple(patient for part in parts for patient in part.patients),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.logits for part in parts]),
    )


def measured(calls: TileCalls, *, resamples: int = RESAMPLES) -> TileMeasures:
    """Return the measures of some tiles."""
    pairs = calls.of_kinds("infarct", "mirrored")
    against = calls.of_kinds("infarct", "healthy")
    right = pairs.called == pairs.infarct
    ill = pairs.of(pairs.infarct)
    return TileMeasures(
        patients=len(set(pairs.patients)),
        tiles=len(pairs.patients),
        infarct_tiles=int(pairs.infarct.sum()),
        ranking=ranking(pairs.infarct, pairs.logits, pairs.patients, resamples=resamples),
        decisions=decisions(pairs.infarct, pairs.called, pairs.patients, resamples=resamples),
        patch_accuracy=_over_patients(right, pairs.patients, best=False, resamples=resamples),
        recognised=_over_patients(ill.called, ill.patients, best=True, resamples=resamples),
        healthy_auc=ranking(against.infarct, against.logits, against.patients, resamples=resamples).auc,
    )


def _over_patients(values: BoolArray, patients: Sequence[str], *, best: bool, resamples: int) -> Interval:
    """Return the mean over patients of the share of their ``values`` (n,) that hold, or of whether one does."""
    owners = np.array(patients)
    each = {owner: values[owners == owner] for owner in dict.fromkeys(patients)}
    numbers = [float(one.any() if best else one.mean()) for one in each.values()]
    return patient_bootstrap(numbers, list(each), resamples=resamples)
