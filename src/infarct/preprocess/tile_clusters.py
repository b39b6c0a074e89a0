"""Which marked tiles belong together."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from infarct.preprocess.tile_input import Places
from infarct.types import BoolArray

ClusterLabels = npt.NDArray[np.intp]


def clusters_of(places: Places, marked: BoolArray, *, tile_px: int) -> ClusterLabels:
    """Return the cluster of each tile, (n,): 0 for unmarked tiles, 1, 2, ... in the order of their first tiles.

    ``places`` (n, 3) are slice, row and column of tiles of ``tile_px`` pixels, ``marked`` (bool, (n,)) those that
    count. Marked tiles of a slice belong together where they touch, also at a corner; those of neighbouring slices
    where they overlap in plane.
    """
    labels = np.zeros(len(places), dtype=np.intp)
    chosen = places[marked]
    if not len(chosen):
        return labels
    pairs = _joined(chosen, tile_px)
    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(chosen), len(chosen)))
    found = connected_components(links, directed=False)[1]
    order = np.unique(found, return_index=True)[1].argsort().argsort()
    labels[marked] = order[found] + 1
    return labels


def _joined(places: Places, tile_px: int) -> npt.NDArray[np.intp]:
    """Return the pairs of tiles that belong together, (m, 2)."""
    spread = places * np.array([tile_px, 1, 1])  # one slice is as far as the edges of tiles that touch
    pairs = KDTree(spread).query_pairs(tile_px, p=np.inf, output_type="ndarray")
    apart = np.abs(places[pairs[:, 0]] - places[pairs[:, 1]])
    return np.asarray(pairs[(apart[:, 0] == 0) | (apart[:, 1:].max(axis=1, initial=0) < tile_px)])
