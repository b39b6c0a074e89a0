"""Forests made of random numbers, and heads whose regions are boxes in noise."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from infarct.anatomy import CORTICAL_REGIONS, REGIONS, SIDES, SUBCORTICAL_REGIONS, Region, region_label
from infarct.preprocess.region_input import RegionInput, RegionSetting
from infarct.systems.region_forests import NETWORK, SYSTEM, Forest, feature_names, radiomics_settings
from infarct.systems.scoring import RegionGroup
from infarct.volume import Geometry
from infarct.weights import WeightSet

TINY: Final = RegionSetting("tiny", (5.0, 1.5, 1.5), (3, 8, 7))
FEATURES: Final = 3 * len(feature_names(radiomics_settings(TINY)))


def random_forest(seed: int, *, trees: int = 5) -> Forest:
    """Return full trees of depth 3 that ask about means, of either side and their difference."""
    random = np.random.default_rng(seed)
    features, values, rights = [], [], []
    for tree in range(trees):
        base = 15 * tree
        third = FEATURES // 3
        for node in range(15):  # depth first: the root, its left half of 7, its right half of 7
            inner = node in (0, 1, 2, 5, 8, 9, 12)
            which = int(random.integers(3))
            limit = random.uniform(-5, 5) if which == 2 else random.uniform(20, 40)
            features.append(which * third if inner else -1)
            values.append(limit if inner else random.uniform(0, 1))
            rights.append(base + node + {0: 8, 1: 4, 8: 4}.get(node, 2) if inner else 0)
    roots = np.arange(trees, dtype=np.int32) * 15
    return Forest(np.array(features, np.int16), np.array(values, np.float32), np.array(rights, np.int32), roots)


def forest_weights(setting: RegionSetting = TINY, **changes: Any) -> WeightSet:
    """Return weights of random forests, the same each time; ``changes`` are those of the settings."""
    settings = radiomics_settings(setting)
    kept = {
        "input": asdict(setting),
        "groups": [group("cortical", CORTICAL_REGIONS), group("subcortical", SUBCORTICAL_REGIONS)],
        "calibrated_on": "nothing",
        "radiomics": asdict(settings),
        "features": list(feature_names(settings)),
    }
    tensors = {}
    for number, region in enumerate(REGIONS):
        tensors.update(random_forest(number).tensors(region))
    return WeightSet(SYSTEM, "tiny", NETWORK, {"trees": 5}, kept | changes, tensors, {}, exact=True)


def group(name: str, regions: tuple[Region, ...]) -> dict[str, Any]:
    return asdict(RegionGroup(name, regions, temperature=2.0, bias=-1.0, threshold=0.3))


def noisy_boxes(seed: int = 3) -> RegionInput:
    """Return a head of noise with a box for each region, of other sizes and places on the left than on the right."""
    random = np.random.default_rng(seed)
    shape = (10, 40, 44)
    regions = np.zeros(shape, dtype=np.uint8)
    for number, region in enumerate(REGIONS):
        for side in SIDES:
            x = 26 + number % 3 * 4 if side == "left" else 12 - number % 4 * 3
            wide = 4 if side == "left" else 5
            regions[2 + number % 6 : 4 + number % 6, 4 * number : 4 * number + 4, x : x + wide] = region_label(
                region, side
            )
    means = random.normal(0.1, 0.2, 21)
    image = np.clip(random.normal(means[regions], 0.1), -1, 1).astype(np.float32)
    return RegionInput(image, regions, Geometry.regular(shape, TINY.spacing_mm_zyx))


def mirrored_boxes(prepared: RegionInput) -> RegionInput:
    """Return the mirrored patient: x reversed, and left and right labels changed."""
    labels = prepared.regions[:, :, ::-1].astype(int)
    swapped = np.select([labels > 10, labels > 0], [labels - 10, labels + 10]).astype(np.uint8)
    return RegionInput(np.ascontiguousarray(prepared.image[:, :, ::-1]), swapped, prepared.geometry)
