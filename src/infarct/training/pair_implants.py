"""Lesions put into pairs of patches while DA-Net is trained: the blobs of `training.implants`, on one side.

A few hundred phantoms have few affected regions, most of them faint. A network that sees only those learns them by
heart. The blobs are new each time, in the region or beside it, and the rule for what counts as affected is that of the
truth: more than a tenth of the region.
"""

from typing import Final

import numpy as np
from scipy import ndimage

from infarct.phantom.scoring import CORE_SHARE
from infarct.preprocess.region_input import PAIR, RegionSetting
from infarct.training.implants import FEWEST, blob, size_of
from infarct.training.recipe import Implants
from infarct.types import BoolArray, Float32Array

TISSUE: Final = 0.5
"""Blobs lie where the smoothed image is within this of 0, the window's level: 15 to 45 HU where it spans 60."""
AT_THE_REGION: Final = 0.7
"""Share of the blobs whose middle lies in the region."""


def with_pair_implant(
    pair: Float32Array,
    affected: BoolArray,
    own: BoolArray,
    setting: RegionSetting,
    implants: Implants,
    *,
    random: np.random.Generator,
) -> tuple[Float32Array, BoolArray]:
    """Return a pair (float32 (4, z, y, x)) with a blob on one of its sides, and which sides are ``affected`` then.

    ``own`` (bool (2, x)) tells which columns of each side's patch lie on that side of the midsagittal plane: no blob
    crosses it, for the other side's patch may show the same place. A side without tissue stays as it is.
    """
    place = int(random.integers(len(PAIR)))
    image, mask = pair[2 * place], pair[2 * place + 1] > 0
    tissue = (np.abs(ndimage.uniform_filter(image, (1, 3, 3))) < TISSUE) & own[place]
    wanted = tissue & mask if random.random() < AT_THE_REGION else tissue
    places = np.flatnonzero(wanted)
    if tissue.sum() < FEWEST or not len(places):
        return pair, affected
    volume_ml, depth = size_of(implants, random)
    z, y, x = (int(k) for k in np.unravel_index(places[random.integers(len(places))], tissue.shape))
    share, texture = blob(tissue, setting.spacing_mm_zyx, (z, y, x), volume_ml=volume_ml, random=random)
    changed, now = pair.copy(), affected.copy()
    changed[2 * place] = np.maximum(image - depth * share * texture, -1)
    now[place] |= bool((share[mask] >= 0.5).mean() > CORE_SHARE) if mask.any() else False
    return changed, now
