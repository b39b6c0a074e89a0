"""Which regions to trust: the network's or the atlas's. Each checks the other, for they fail in different ways.

Where their mean Dice is under a bound the scan is flagged, and the more plausible ones are used: those of which more
regions are as a region must be. A region is plausible if it
- is there at all,
- is from half to twice as large as the atlas's at this head's size (individuals differ less than that),
- is in one piece, but for a tenth,
- lies inside the skull, but for a tenth, and on its own side of the midsagittal plane, but for a tenth,
- is at most half as large again as, and at least two thirds of, the same region on the other side.

Neither method is favoured by volumes: the bounds are wider than what either does on heads where it works. Where both
are equally plausible the network's are used: it looks at this head, the atlas only at its outline.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.anatomy import opposite, region_label, region_of_label
from infarct.errors import StepFailed
from infarct.findings import RegionMethod
from infarct.measure.overlap import count
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import LABELS
from infarct.systems.regions_vbnet import DrawnRegions, RegionDrawer, draw_regions
from infarct.types import BoolArray, Flag, Float64Array, LabelArray
from infarct.volume import Scan

VOLUME_RATIO: Final = 2.0
SIDE_RATIO: Final = 1.5
WHOLE_SHARE: Final = 0.9
"""Part of a region that must be in its largest piece, inside the skull, and on its side."""


@dataclass(frozen=True)
class ChoiceConfig:
    """From which mean Dice on network and atlas agree; saved with every result."""

    least_dice: float = 0.5


@dataclass(frozen=True, eq=False)
class ChosenRegions:
    """Region ``labels`` (uint8, (z, y, x), on the working grid) and whose they are.

    ``mean_dice`` is that of network and atlas, None where one of them has no regions; ``plausible`` how many of each
    method's twenty regions are plausible. ``drawn`` is what the network drew, None where it found nothing.
    """

    labels: LabelArray
    method: RegionMethod
    mean_dice: float | None
    plausible: dict[RegionMethod, int]
    drawn: DrawnRegions | None
    flags: tuple[Flag, ...]


def choose_regions(scan: Scan, head: Head, drawer: RegionDrawer, config: ChoiceConfig | None = None) -> ChosenRegions:
    """Return the network's regions of a head, or the atlas's where the two disagree and those are more plausible.

    Where only one of them has regions, those are used; where neither has, the labels are empty.
    """
    try:
        drawn: DrawnRegions | None = draw_regions(scan, head, drawer)
    except StepFailed:
        drawn = None
    return chosen(head, drawn, config)


def chosen(head: Head, drawn: DrawnRegions | None, config: ChoiceConfig | None = None) -> ChosenRegions:
    """Return the choice between what the network drew and the atlas's regions of the head."""
    config = config or ChoiceConfig()
    by_method: dict[RegionMethod, LabelArray] = {"atlas": head.aspects_regions}
    if drawn is not None:
        by_method["vbnet"] = drawn.labels
    counts = {method: plausible_regions(labels, head) for method, labels in by_method.items()}
    there = [method for method, labels in by_method.items() if labels.any()]
    dice = mean_dice(by_method["vbnet"], by_method["atlas"]) if len(there) == 2 else None
    if dice is None or dice >= config.least_dice:
        method: RegionMethod = "vbnet" if "vbnet" in there else "atlas"
        return ChosenRegions(by_method[method], method, dice, counts, drawn, ())
    method = "vbnet" if counts["vbnet"] >= counts["atlas"] else "atlas"
    whose = "the network's" if method == "vbnet" else "the atlas's"
    message = f"Two ways of drawing the ASPECTS regions disagree (mean Dice {dice:.2f}); {whose} are used."
    flag = Flag("regions_disagree", "warning", message, round(dice, 3))
    return ChosenRegions(by_method[method], method, dice, counts, drawn, (flag,))


def mean_dice(one: LabelArray, other: LabelArray) -> float:
    """Return the mean Dice of the regions that either of two label maps has (uint8, (z, y, x)); 1 where none has any.

    A region that only one of them has counts 0.
    """
    dices = []
    for label in range(1, LABELS):
        first, second = one == label, other == label
        if first.any() or second.any():
            dices.append(count(first, second).dice if second.any() else 0.0)
    return float(np.mean(dices)) if dices else 1.0


def plausible_regions(labels: LabelArray, head: Head) -> int:
    """Return how many of the twenty regions of a label map (uint8, (z, y, x), on the working grid) are plausible."""
    voxel_ml = float(head.geometry.slice_voxel_ml[0])
    volumes_ml = np.asarray(np.bincount(labels.ravel(), minlength=LABELS) * voxel_ml, dtype=np.float64)
    left = head.midplane.left_mask(head.geometry)
    return sum(
        _sized(label, volumes_ml, head.region_ml[label]) and _placed(labels == label, label, left, head.brain)
        for label in range(1, LABELS)
    )


def _sized(label: int, volumes_ml: Float64Array, expected_ml: float) -> bool:
    """Return whether a region has a plausible volume, of itself and against the other side."""
    region, side = region_of_label(label)
    own, other = volumes_ml[label], volumes_ml[region_label(region, opposite(side))]
    if own == 0 or other == 0:
        return False
    alike = max(own, other) / min(own, other) <= SIDE_RATIO
    return bool(alike and expected_ml / VOLUME_RATIO <= own <= expected_ml * VOLUME_RATIO)


def _placed(mask: BoolArray, label: int, left: BoolArray, brain: BoolArray) -> bool:
    """Return whether a region (bool, (z, y, x), not empty) is in one piece, inside the skull and on its side."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    own, total = mask[box], float(mask.sum())
    pieces, _ = ndimage.label(own, np.ones((3, 3, 3), dtype=bool))
    side = left[box] if region_of_label(label)[1] == "left" else ~left[box]
    parts = (np.bincount(pieces.ravel())[1:].max(), (own & brain[box]).sum(), (own & side).sum())
    return all(part >= WHOLE_SHARE * total for part in parts)
