"""How far the systems that ran on one scan agree: side, territories, overlap and volumes; disagreement in words.

What a system marks is coarse in its own way: ASPECTS knows ten regions a side, tiles are squares, the others outline.
So overlap is told twice: as Dice, and as the share of the smaller mark that lies in the larger.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Final

import numpy as np

from infarct.anatomy import MarkedSide, Territory, region_label
from infarct.findings import SYSTEM_NAMES, Agreement, Aspects, FollowupInfarct, HyperdenseArtery, Infarct, Overlap
from infarct.measure.overlap import count
from infarct.prose import listed, sentence
from infarct.systems.lesions import territories_of
from infarct.types import BoolArray, Flag, LabelArray
from infarct.volume import Geometry, volume_ml

NOTABLE_ML: Final = 5.0
"""A mark below this volume that others lack is no disagreement: small ones are missed, and made up, by all."""
APART_SHARE: Final = 0.1
"""Two marks of which less of the smaller lies in the larger are at different places."""
VOLUME_RATIO: Final = 2.0
VOLUME_GAP_ML: Final = 10.0
"""Two outlines disagree where one has so many times the other's volume, and so many ml more."""


@dataclass(frozen=True, eq=False)
class Mark:
    """What one system says of where the infarct is.

    ``mask`` (bool, (z, y, x), on the scan's geometry) is None of a system that tells a side alone; ``volume_ml`` is
    None of one whose mask is no outline. ``looks_at`` are the voxels that it can mark at all; None: the whole brain.
    """

    system: str
    side: MarkedSide
    territories: tuple[Territory, ...] = ()
    volume_ml: float | None = None
    mask: BoolArray | None = None
    looks_at: BoolArray | None = None


def mark_of_aspects(aspects: Aspects, regions: LabelArray) -> Mark | None:
    """Return the regions that a method of its own found affected, whatever a reader set.

    ``regions`` (uint8, (z, y, x)) holds the labels of `infarct.anatomy`. None where the score comes from the
    comparison of the sides, which marks infarcts itself, or where no region could be judged.
    """
    judged = [finding for finding in aspects.regions if finding.evaluable]
    if aspects.method == "asymmetry" or not judged:
        return None
    affected = [finding for finding in judged if finding.affected]
    sides = {finding.side for finding in affected}
    side: MarkedSide = "none" if not sides else "both" if len(sides) > 1 else next(iter(sides))
    looked, found = (
        np.isin(regions, [region_label(finding.region, finding.side) for finding in part])
        for part in (judged, affected)
    )
    return Mark("aspects", side, ("MCA",) if affected else (), mask=found, looks_at=looked)


def mark_of_infarct(infarct: Infarct, mask: BoolArray) -> Mark:
    """Return the acute lesions, ``mask`` (bool, (z, y, x))."""
    name = "asymmetry" if infarct.method == "asymmetry" else "segment"
    territories = tuple(dict.fromkeys(where for lesion in infarct.lesions for where in lesion.territories))
    return Mark(name, infarct.side, territories, infarct.volume_ml, mask)


def mark_of_followup(followup: FollowupInfarct, mask: BoolArray, territories: LabelArray) -> Mark:
    """Return the follow-up infarct; ``mask`` (bool) and the labels of ``territories`` (uint8) are (z, y, x)."""
    found = territories_of(territories[mask])
    return Mark("volumetry", followup.side or "none", found, followup.volume_ml, mask)


def mark_of_artery(artery: HyperdenseArtery) -> Mark | None:
    """Return the side of a suspected dense artery; None where there is none: most infarcts come without."""
    return Mark("hyperdense_artery", artery.side, ("MCA",)) if artery.suspected else None


def agreement_of(marks: Sequence[Mark], geometry: Geometry) -> Agreement | None:
    """Return how far the systems agree; None where fewer than two took part."""
    if len(marks) < 2:
        return None
    overlaps = tuple(_overlaps(marks))
    return Agreement(
        sides={mark.system: mark.side for mark in marks},
        territories={mark.system: mark.territories for mark in marks if mark.territories},
        volumes_ml={mark.system: mark.volume_ml for mark in marks if mark.volume_ml is not None},
        overlaps=overlaps,
        disagreements=tuple(_disagreements(marks, overlaps, geometry)),
    )


def disagreement_flag(agreement: Agreement | None) -> Flag | None:
    """Return the flag of systems that disagree, in words; None where they agree or are not compared."""
    if agreement is None or not agreement.disagreements:
        return None
    return Flag("systems_disagree", "warning", " ".join(agreement.disagreements))


def _overlaps(marks: Sequence[Mark]) -> Iterator[Overlap]:
    """Yield the overlap of each two systems that both mark something."""
    placed = [(mark.system, mark.mask) for mark in marks if mark.mask is not None and mark.mask.any()]
    for (one, here), (other, there) in combinations(placed, 2):
        shared = count(here, there)
        smaller = min(shared.tp + shared.fp, shared.tp + shared.fn)
        yield Overlap(systems=(one, other), dice=shared.dice, share_of_smaller=shared.tp / smaller)


def _disagreements(marks: Sequence[Mark], overlaps: Sequence[Overlap], geometry: Geometry) -> Iterator[str]:
    """Yield a sentence for each disagreement: of sides first, then of what one finds alone, of places, of volumes."""
    left, right = ([mark.system for mark in marks if mark.side == side] for side in ("left", "right"))
    if left and right:
        yield f"{_listed(left)} {_verb(left)} the left side, {_listed(right, first=False)} the right."
    for one, other in permutations(marks, 2):
        alone_ml = _alone_ml(one, other, geometry)
        if alone_ml >= NOTABLE_ML:
            where = f"{alone_ml:.0f} ml" if one.side in ("both", "none") else f"{alone_ml:.0f} ml on the {one.side}"
            yield f"{_listed([one.system])} marks {where} where {SYSTEM_NAMES[other.system]} finds nothing."
    sides = {mark.system: mark.side for mark in marks}
    for overlap in overlaps:
        one_name, other_name = overlap.systems
        if overlap.share_of_smaller < APART_SHARE and {sides[one_name], sides[other_name]} != {"left", "right"}:
            yield f"{_listed([one_name])} and {SYSTEM_NAMES[other_name]} mark different places."
    outlined = [(mark.volume_ml, mark.system) for mark in marks if mark.volume_ml]
    for pair in combinations(outlined, 2):
        (less_ml, smaller), (more_ml, larger) = sorted(pair)
        if more_ml > VOLUME_RATIO * less_ml and more_ml - less_ml > VOLUME_GAP_ML:
            yield f"{_listed([larger])} measures {more_ml:.0f} ml, {SYSTEM_NAMES[smaller]} {less_ml:.0f} ml."


def _alone_ml(one: Mark, other: Mark, geometry: Geometry) -> float:
    """Return the volume that one system marks where the other, which marks nothing at all, can look."""
    if one.mask is None or other.mask is None or other.side != "none":
        return 0.0
    seen = one.mask if other.looks_at is None else one.mask & other.looks_at
    return volume_ml(seen, geometry)


def _listed(systems: Sequence[str], *, first: bool = True) -> str:
    names = listed([SYSTEM_NAMES[system] for system in systems])
    return sentence(names) if first else names


def _verb(systems: Sequence[str]) -> str:
    return "marks" if len(systems) == 1 else "mark"
