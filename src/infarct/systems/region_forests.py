"""Radiomics features of ASPECTS regions, and random forests that tell affected ones by them; numpy alone.

A side of a region is judged by its own features, those of the other side, and own less other. The right side is
measured as it lies in the mirror, so that a mirrored head gives the same numbers, to the last bit, with the sides
changed. What Cao et al. 2022 (DOI 10.1002/hbm.25845) compare DA-Net with is of this kind; they do not tell features or
settings of theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.errors import BadRequest
from infarct.measure.radiomics import RadiomicsSettings, region_features
from infarct.preprocess.region_input import LABELS, RegionInput, RegionSetting, oriented
from infarct.types import Float32Array, Float64Array

SYSTEM: Final = "radiomics"
NETWORK: Final = "random_forests"
TENSORS: Final = ("feature", "value", "right", "roots")
SMALLEST: Final = 1e-3
"""Shares of the trees are kept this far from 0 and 1, where logits are infinite."""


def radiomics_settings(setting: RegionSetting) -> RadiomicsSettings:
    """Return how regions of an input are measured: over its window, the rest as `RadiomicsSettings` has it."""
    half = setting.width_hu / 2
    return RadiomicsSettings(lowest_hu=setting.level_hu - half, highest_hu=setting.level_hu + half)


@cache
def feature_names(settings: RadiomicsSettings) -> tuple[str, ...]:
    """Return the names of the features of a side, in their order."""
    box = np.full((2, 2, 2), settings.lowest_hu, dtype=np.float32)
    whole = np.ones(box.shape, dtype=np.uint8)
    return tuple(region_features(box, whole, [settings.distance_mm] * 3, settings)[1])


def region_table(prepared: RegionInput, setting: RegionSetting, settings: RadiomicsSettings) -> Float32Array:
    """Return the features of the twenty regions, (20, n) in the order of the label values; NaN where there are none.

    HU are restored from the window of ``setting``; what the window has clipped (bone, air, some fluid) is left out. A
    feature that is not defined, such as a correlation where all voxels are alike, counts as 0.
    """
    table = np.full((LABELS - 1, len(feature_names(settings))), np.nan, dtype=np.float32)
    for side in SIDES:
        image = oriented(prepared.image, side).astype(np.float32)
        hu = (setting.level_hu + setting.width_hu / 2 * image).astype(np.float32)
        labels = np.where(np.abs(image) < 1, oriented(prepared.regions, side), 0).astype(np.uint8)
        own = [region_label(region, side) for region in REGIONS]
        labels[~np.isin(labels, own)] = 0
        for label, features in region_features(hu, labels, setting.spacing_mm_zyx, settings).items():
            table[label - 1] = np.nan_to_num(np.array(list(features.values())), nan=0.0)
    return table


def pair_rows(tables: Float32Array, region: Region) -> Float32Array:
    """Return what the sides of a region are judged by, (..., 2, 3 n) in the order of `SIDES`, NaN where there is none.

    ``tables`` are of `region_table`, (..., 20, n). A row is a side's own features, the other side's, own less other.
    """
    own = tables[..., [region_label(region, side) - 1 for side in SIDES], :]
    other = own[..., ::-1, :]
    return np.concatenate([own, other, own - other], axis=-1)


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as plain arrays, one node after the other, parents first: the left child of a node is the next one.

    ``feature`` (int16, (nodes,)) is the place in the row that a node asks about, -1 in a leaf; ``value`` (float32) the
    largest number that goes left, or a leaf's share of affected sides; ``right`` (int32) the right child; ``roots``
    (int32, (trees,)) where the trees begin.
    """

    feature: npt.NDArray[np.int16]
    value: Float32Array
    right: npt.NDArray[np.int32]
    roots: npt.NDArray[np.int32]

    def share(self, rows: Float32Array) -> Float64Array:
        """Return the mean share of affected sides over the trees, (n,), for ``rows`` (float32, (n, features))."""
        node = np.tile(self.roots, (len(rows), 1))
        while True:
            feature = self.feature[node]
            inner = feature >= 0
            if not inner.any():
                return np.asarray(self.value[node].mean(axis=1, dtype=np.float64))
            asked = np.take_along_axis(rows, np.maximum(feature, 0).astype(np.intp), axis=1)
            child = np.where(asked <= self.value[node], node + 1, self.right[node])
            node = np.where(inner, child, node)

    def logit(self, rows: Float32Array) -> Float64Array:
        """Return the `share` of rows as logits, (n,)."""
        return np.asarray(special.logit(np.clip(self.share(rows), SMALLEST, 1 - SMALLEST)), dtype=np.float64)

    def tensors(self, region: Region) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by the names that they have in a weight file."""
        return {f"{region}.{name}": getattr(self, name) for name in TENSORS}

    def check(self, features: int) -> None:
        """Raise `ValueError` where these are no trees over rows of so many features, or would never end."""
        kinds = {"feature": np.int16, "value": np.float32, "right": np.int32, "roots": np.int32}
        if any((part := getattr(self, name)).dtype != kind or part.ndim != 1 for name, kind in kinds.items()):
            raise ValueError("arrays of other types or shapes")
        nodes = len(self.feature)
        if not nodes == len(self.value) == len(self.right) or not len(self.roots):
            raise ValueError("arrays of different lengths")
        inner = np.flatnonzero(self.feature >= 0)
        leaves = self.value[self.feature < 0]
        places = (*self.roots, *self.right[inner])
        if self.feature.min() < -1 or self.feature.max() >= features or min(places) < 0 or max(places) >= nodes:
            raise ValueError("a node or feature that is not there")
        if self.feature[-1] >= 0 or (self.right[inner] <= inner + 1).any():
            raise ValueError("a child before its parent")
        if ((leaves < 0) | (leaves > 1)).any():
            raise ValueError("a share that is none")


def forests_of(tensors: Mapping[str, npt.NDArray[Any]], features: int) -> dict[Region, Forest]:
    """Return the forest of each region in the tensors of a weight set, for sides of so many features.

    Raises `BadRequest` where they are not ten whole forests.
    """
    try:
        forests = {region: Forest(*(tensors[f"{region}.{name}"] for name in TENSORS)) for region in REGIONS}
        for forest in forests.values():
            forest.check(3 * features)
    except (KeyError, ValueError) as error:
        raise BadRequest(f"the weights hold no ten forests, or a damaged one ({error})") from error
    return forests


def leaf(share: float) -> Forest:
    """Return a forest that answers the same to everything."""
    first = np.zeros(1, dtype=np.int32)
    return Forest(np.full(1, -1, dtype=np.int16), np.array([share], dtype=np.float32), first, first)


def logits_of(forests: Mapping[Region, Forest], table: Float32Array) -> dict[tuple[Region, Side], float]:
    """Return the logits of the regions in a `region_table` that were measured on both sides."""
    found: dict[tuple[Region, Side], float] = {}
    for region, forest in forests.items():
        rows = pair_rows(table, region)
        if np.isfinite(rows).all():
            logits = forest.logit(rows)
            found.update({(region, side): float(logit) for side, logit in zip(SIDES, logits, strict=True)})
    return found
