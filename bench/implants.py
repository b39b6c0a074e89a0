"""Implants in a real scan: tissue of one hemisphere is darkened by 3, 6 and 10 HU inside irregular blobs.

    python bench/implants.py SCAN [--side right] [--count 12] [--weights FILE]

The blob's place is random healthy tissue of that hemisphere; its size is 5 to 60 ml. Printed for each depth: Dice in
the implanted hemisphere, and the share of blobs whose centre is found. Printed once: what is marked in that hemisphere
without an implant, which is a false positive where that hemisphere is healthy.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from infarct.phantom.grid import rng
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import mirrored
from infarct.readers import read_scan
from infarct.systems.segment import Segmenter, load_segmenter, segment
from infarct.types import BoolArray, Float32Array
from infarct.volume import Scan

DEPTHS_HU = (3.0, 6.0, 10.0)
VOLUMES_ML = (5.0, 60.0)
TISSUE_HU = (20.0, 50.0)
EDGE_MM = 2.0


def blob(head: Head, side: str, seed: int) -> Float32Array:
    """Return an irregular blob, 0 to 1 with a soft edge (float32, (z, y, x)), in tissue of ``side``."""
    random = rng(seed, "implant")
    spacing = np.array(head.geometry.spacing_mm_zyx)
    deep = ndimage.distance_transform_edt(head.brain, sampling=spacing) > 4.0
    calm = ndimage.gaussian_filter(head.hu, (0.0, 1.5, 1.5))
    left = head.midplane.left_mask(head.geometry)
    tissue = deep & (calm > TISSUE_HU[0]) & (calm < TISSUE_HU[1]) & (left if side == "left" else ~left)
    tissue &= np.abs(head.midplane.distance_mm(head.geometry)) > 4.0
    choices = np.argwhere(ndimage.binary_erosion(tissue, iterations=3))
    centre = choices[random.integers(len(choices))]
    index = np.indices(head.brain.shape).transpose(1, 2, 3, 0)
    distance_mm = np.linalg.norm((index - centre) * spacing, axis=-1)
    noise = ndimage.gaussian_filter(random.standard_normal(head.brain.shape), 8.0 / spacing)
    rough = distance_mm - 8.0 * noise / noise.std()
    wanted_ml = float(np.exp(random.uniform(*np.log(VOLUMES_ML))))
    order = np.sort(rough[tissue])
    limit = order[min(int(wanted_ml / head.geometry.slice_voxel_ml[0]), len(order) - 1)]
    inside = (tissue & (rough <= limit)).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(inside, (0.0, *(EDGE_MM / spacing[1:]))) * tissue, dtype=np.float32)


def with_implant(head: Head, shape: Float32Array, depth_hu: float) -> Head:
    """Return the head darkened by ``depth_hu`` inside the blob."""
    hu = head.hu - np.float32(depth_hu) * shape
    return replace(head, hu=hu, mirrored_hu=mirrored(hu, head.geometry, head.midplane))


def dice(first: BoolArray, second: BoolArray) -> float:
    """Return the Dice of two masks, of which at least one is not empty."""
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def measure(
    scan: Scan, head: Head, system: Segmenter, *, side: str, count: int
) -> dict[float, list[tuple[float, bool]]]:
    """Return Dice in the hemisphere, and whether the blob's middle is found, by depth."""
    left = head.midplane.left_mask(head.geometry)
    hemisphere = head.brain & (left if side == "left" else ~left)
    found: dict[float, list[tuple[float, bool]]] = {depth: [] for depth in DEPTHS_HU}
    for seed in range(count):
        shape = blob(head, side, seed)
        truth = shape >= 0.5
        heart = ndimage.distance_transform_edt(truth, sampling=head.geometry.spacing_mm_zyx)
        middle = np.unravel_index(int(heart.argmax()), truth.shape)
        for depth in DEPTHS_HU:
            called = segment(scan, with_implant(head, shape, depth), system).infarct_mask & hemisphere
            found[depth].append((dice(called, truth), bool(called[middle])))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--side", choices=("left", "right"), default="right")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--weights", help="a file or the name of shipped ones, the default ones if not given")
    options = parser.parse_args()
    scan = read_scan(options.scan)
    head = prepare_head(scan)
    system = load_segmenter(options.weights)
    left = head.midplane.left_mask(head.geometry)
    hemisphere = head.brain & (left if options.side == "left" else ~left)
    plain = segment(scan, head, system)
    voxel_ml = float(head.geometry.slice_voxel_ml[0])
    print(f"without an implant: {(plain.infarct_mask & hemisphere).sum() * voxel_ml:.1f} ml called acute in the")
    print(f"{options.side} hemisphere, {(plain.infarct_mask & ~hemisphere).sum() * voxel_ml:.1f} ml elsewhere,")
    print(f"{plain.old_infarct_mask.sum() * voxel_ml:.1f} ml called old")
    for depth, results in measure(scan, head, system, side=options.side, count=options.count).items():
        scores = np.array([score for score, _ in results])
        share = np.mean([hit for _, hit in results])
        print(f"{depth:4.0f} HU: Dice {scores.mean():.2f} (median {np.median(scores):.2f}), found {share:.0%}")


if __name__ == "__main__":
    main()
