"""What the ideal observer reaches on balanced tiles: the ceiling of every method that looks at one tile.

The observer compares the sides. It knows how the infarct would look where it looks, and all that hides it: scanner
noise and the differences of healthy sides (`phantom.observer`). A tile of the infarct has the d' of what can be seen of
it, both kinds have a normal error of 1. A normal tile that is healthy on both sides has 0, and over all tiles the ROC
AUC is the mean of Phi(d' / sqrt 2). At the place mirrored to the infarct, where the paper takes its normal
tiles, the difference is the same with its sign turned: there it is the mean of Phi(2 d' / sqrt 2). Both are told for
squares of the tile's slice about its middle, the tile alone and larger ones, and for the whole infarct in all slices.

Run: python bench/ideal_tiles.py [patients] [split]
"""

import math
import sys
from collections.abc import Iterator

import numpy as np
from scipy import stats

from infarct.measure.agreement import resampled
from infarct.phantom import Split, Visit, draw, render_ct
from infarct.phantom.noise import noise_power
from infarct.phantom.observer import ROUNDING_HU2, anatomy_power, anatomy_slices, detectability
from infarct.phantom.response import slice_correlation
from infarct.preprocess.tile_input import EVERYDAY, slabs_of
from infarct.preprocess.tile_picks import INFARCT_SHARE
from infarct.volume import Geometry

TILES = 12
"""Tiles that are looked at of each patient, drawn from those that are infarct."""
WIDE_PX = 256
"""Side of the field whose spectrum gives the covariance."""
FIELDS = (1, 4, 8, 12)
"""Sides of the squares, in tiles; the everyday network sees 4."""
BINS = 18
"""Squares are averaged to so many means along each axis, or fewer, before they are looked at."""


def tiles_of(visit: Visit, side: int) -> np.ndarray:
    """Return the tiles of a regular grid that are infarct, (n, 3): first slice of a slab, first row and column."""
    infarct = visit.truth["infarct"].numpy() > 0
    found = []
    for slab in slabs_of(visit.geometry, EVERYDAY.slab_mm):
        plane = infarct[slab].mean(axis=0) >= 0.5
        rows, columns = (size // side for size in plane.shape)
        shares = plane[: rows * side, : columns * side].reshape(rows, side, columns, side).mean(axis=(1, 3))
        found += [(slab.start, row * side, column * side) for row, column in np.argwhere(shares >= INFARCT_SHARE)]
    return np.array(found, dtype=int).reshape(-1, 3)


def covariance(visit: Visit, slab: slice, bins: int, bin_px: int) -> np.ndarray:
    """Return the covariance of what hides an infarct, in HU^2, of ``bins`` by ``bins`` means over squares of pixels."""
    whole = visit.geometry
    wide = Geometry(
        whole.origins_mm[slab], whole.x_direction, whole.y_direction, whole.pixel_spacing_mm_yx, (WIDE_PX,) * 2
    )
    noise = noise_power(visit.protocol, wide) + ROUNDING_HU2 / WIDE_PX**2
    power = 2 * noise * slice_correlation(visit.protocol, wide).mean()
    power += anatomy_power(visit.protocol, wide) * anatomy_slices(visit.protocol, wide).mean()
    phase = np.pi * np.fft.fftfreq(WIDE_PX)
    mean = np.sinc(bin_px * phase / np.pi) / np.sinc(phase / np.pi)
    alike = np.fft.ifft2(power.numpy() * np.outer(mean, mean) ** 2, norm="forward").real
    rows, columns = (bin_px * one.ravel() for one in np.indices((bins, bins)))
    return alike[rows[:, None] - rows, columns[:, None] - columns]


def d_prime(signal: np.ndarray, hides: np.ndarray, bin_px: int) -> float:
    """Return the d' of a difference image (rows, columns) in HU; what does not fill a bin is left out."""
    bins = round(len(hides) ** 0.5)
    shown = signal[: bins * bin_px, : bins * bin_px].reshape(bins, bin_px, bins, bin_px).mean(axis=(1, 3)).ravel()
    return float(np.sqrt(shown @ np.linalg.solve(hides, shown)))


def seen(visit: Visit, random: np.random.Generator) -> Iterator[list[float]]:
    """Yield the d' of some tiles of a scan, seen in each of `FIELDS`, and that of the whole infarct."""
    if visit.signal_hu is None or EVERYDAY.tile_mm is None:
        return
    side = round(EVERYDAY.tile_mm / visit.geometry.pixel_spacing_mm_yx[0])
    whole = detectability(visit.signal_hu, visit.protocol, visit.geometry, anatomical=True)
    slabs = {slab.start: slab for slab in slabs_of(visit.geometry, EVERYDAY.slab_mm)}
    margin = max(FIELDS) * side
    for k, row, column in random.permutation(tiles_of(visit, side))[:TILES]:
        slab, views = slabs[int(k)], []
        plane = np.pad(visit.signal_hu[slab].mean(dim=0).numpy(), margin)
        for tiles in FIELDS:
            field = tiles * side
            first = (margin + int(row) - (field - side) // 2, margin + int(column) - (field - side) // 2)
            shown = plane[first[0] : first[0] + field, first[1] : first[1] + field]
            bin_px = math.ceil(field / BINS)
            views.append(d_prime(shown, covariance(visit, slab, field // bin_px, bin_px), bin_px))
        yield [*views, whole]


def auc(area: np.ndarray, owners: list[str]) -> str:
    """Return the mean of ``area`` (tiles,) with its 95 % interval by patient, the ``owners`` of the tiles."""
    told = resampled(lambda chosen: float(area[chosen].mean()), owners, resamples=200)
    return f"{told.estimate:.3f} ({told.low:.3f} to {told.high:.3f})"


def main(size: int, split: Split) -> None:
    random = np.random.default_rng(0)
    rows, owners = [], []
    for number in range(size):
        found = list(seen(render_ct(draw("hyperacute", number, split)), random))
        rows += found
        owners += [str(number)] * len(found)
        print(f"\r{number + 1} of {size}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{len(set(owners))} of {size} patients of hyperacute:{split} have infarct tiles; {len(rows)} are looked at")
    for view, seen_of in zip(
        (*(f"{tiles} x {tiles} tiles" for tiles in FIELDS), "whole infarct"), np.array(rows).T, strict=True
    ):
        middle, low, high = (f"{value:.2f}" for value in np.percentile(seen_of, [50, 25, 75]))
        healthy, mirrored = (auc(stats.norm.cdf(apart * seen_of / np.sqrt(2)), owners) for apart in (1, 2))
        print(
            f"{view:14} AUC: healthy on both sides {healthy}, mirrored place {mirrored}; d' {middle} ({low} to {high})"
        )


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen: Split = "shifted" if words[1:2] == ["shifted"] else "test"
    main(int((words or ["40"])[0]), chosen)
