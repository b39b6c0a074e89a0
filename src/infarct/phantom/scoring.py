"""ASPECTS of a rendered patient: by the truth of perfusion, and as two simulated readers call it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from infarct.anatomy import REGIONS, SIDES, Side, region_label
from infarct.phantom.assembly import Visit
from infarct.phantom.clinical import read_aspects
from infarct.phantom.grid import rng
from infarct.phantom.patient import Patient
from infarct.types import Float64Array

CORE_SHARE: Final = 0.10
"""A region is affected where core fills more than this share of it (aspects paper, reference standard)."""
FULL_SCORE: Final = len(REGIONS)


@dataclass(frozen=True)
class AspectsScores:
    """Affected regions of ``side`` (True or False, in `REGIONS` order): by core, and as called by each reader."""

    side: Side
    by_core: tuple[bool, ...]
    by_readers: tuple[tuple[bool, ...], tuple[bool, ...]]

    @property
    def core(self) -> int:
        """ASPECTS by core, 0 to 10."""
        return FULL_SCORE - sum(self.by_core)

    @property
    def readers(self) -> tuple[int, int]:
        """ASPECTS of both readers."""
        return FULL_SCORE - sum(self.by_readers[0]), FULL_SCORE - sum(self.by_readers[1])


def score_aspects(patient: Patient, acute: Visit) -> AspectsScores:
    """Return the scores of the acute scan on the side of the stroke; on the right where there is none."""
    side = _asked(patient)
    return _scores(acute, side, _seed_of(patient, side))


def score_sides(patient: Patient, acute: Visit) -> tuple[AspectsScores, AspectsScores]:
    """Return the scores of both sides in the order of `SIDES`; on the side of the stroke those of `score_aspects`.

    Readers look at the other side as they do at this one, with errors of their own.
    """
    right, left = (_scores(acute, side, _seed_of(patient, side)) for side in SIDES)
    return right, left


def _asked(patient: Patient) -> Side:
    """Return the side that a reader of one hemisphere is asked about."""
    return patient.stroke.side if patient.stroke is not None else "right"


def _seed_of(patient: Patient, side: Side) -> int:
    """Return the seed of the readers' errors on a side."""
    seed = patient.head.seed if patient.stroke is None else patient.stroke.seed
    return seed if side == _asked(patient) else int(rng(seed, "other side").integers(2**63))


def _scores(acute: Visit, side: Side, seed: int) -> AspectsScores:
    voxels = _Voxels.of(acute, side)
    core, infarct = (acute.truth.get(name) for name in ("core", "infarct"))
    by_core = voxels.shares(core) > CORE_SHARE
    shares, seen_hu = voxels.shares(infarct), -voxels.means(acute.signal_hu, infarct)
    first, second = (read_aspects(shares, seen_hu, seed, reader).astype(bool).tolist() for reader in (0, 1))
    return AspectsScores(side, tuple(by_core.tolist()), (tuple(first), tuple(second)))


@dataclass(frozen=True, eq=False)
class _Voxels:
    """The voxels of a side's regions: index of the region (n,), volume in ml (n,), and where they are (z, y, x)."""

    region: Tensor
    volume_ml: Tensor
    mask: Tensor

    @classmethod
    def of(cls, visit: Visit, side: Side) -> "_Voxels":
        labels = visit.truth["aspects"]
        first = region_label(REGIONS[0], side)
        mask = (labels >= first) & (labels < first + FULL_SCORE)
        slice_ml = torch.tensor(visit.geometry.slice_voxel_ml, device=labels.device)
        counts = mask.flatten(1).sum(dim=1)
        return cls(labels[mask].long() - first, slice_ml.repeat_interleave(counts), mask)

    def sums(self, values: Tensor) -> Float64Array:
        """Return the integral of ``values`` (n,) over each region in ml, (10,)."""
        total = torch.zeros(FULL_SCORE, dtype=torch.float64, device=values.device)
        total.index_add_(0, self.region, values.double() * self.volume_ml)
        return np.asarray(total.cpu().numpy(), dtype=np.float64)

    def shares(self, mask: Tensor | None) -> Float64Array:
        """Return the share of each region that ``mask`` (z, y, x) fills, (10,); 0 for a region outside the scan."""
        if mask is None:
            return np.zeros(FULL_SCORE)
        return self.sums(mask[self.mask]) / np.maximum(self.sums(torch.ones_like(self.volume_ml)), 1e-9)

    def means(self, values: Tensor | None, mask: Tensor | None) -> Float64Array:
        """Return the mean of ``values`` within ``mask`` in each region, (10,); 0 where they do not meet."""
        if values is None or mask is None:
            return np.zeros(FULL_SCORE)
        inside = mask[self.mask]
        return self.sums(values[self.mask] * inside) / np.maximum(self.sums(inside), 1e-9)
