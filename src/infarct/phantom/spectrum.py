"""How HU change with the tube voltage: at low kVp grey and white part, bone and calcium brighten, fat darkens."""

from typing import Final

import torch
from torch import Tensor

SOFTNESS: Final = {70: 1.0, 80: 0.75, 100: 0.3, 120: 0.0, 140: -0.25}
"""How far a spectrum lies from 120 kVp; 1 at 70 kVp."""
SLOPES: Final = ((0.0, 0.02), (29.0, 0.26), (45.0, -0.2), (80.0, 0.55))
"""From this HU on the slope of HU at 70 kVp against 120 kVp changes by so much.

Grey minus white rises by a quarter to a third from 120 to 70-80 kVp, bone of 1100 HU to about 1700 HU.
"""
FAT_GAIN: Final = 0.15
FAT_FLOOR_HU: Final = -110.0


def at_kvp(hu: Tensor, kvp: int) -> Tensor:
    """Return the HU that tissue of ``hu`` at 120 kVp has at ``kvp`` (70, 80, 100, 120 or 140). Water and air stay."""
    softness = SOFTNESS[kvp]
    if softness == 0:
        return hu
    fat = hu.clamp(FAT_FLOOR_HU, 0.0) * ((hu + 1000) / (1000 + FAT_FLOOR_HU)).clamp(0, 1)
    changed = hu + softness * FAT_GAIN * fat
    for start, slope in SLOPES:
        changed = changed + softness * slope * torch.relu(hu - start)
    return changed.clamp(min=-1000.0)
