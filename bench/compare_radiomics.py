"""Radiomics features of regions: ours against mirp's, greatest relative difference and seconds for twenty regions.

mirp (EUPL; it took part in the IBSI) and ITK, which it needs, are in no extra of this package. In an environment of
their own beside it: pip install mirp. Run: python bench/compare_radiomics.py [regions]

Both get the same HU, regions, range and bins, and neighbours one pixel apart. mirp takes for N_g the highest grey level
of the region, we the highest of the range, so every region here has a voxel of it.
"""

import logging
import re
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
from mirp import extract_features
from scipy import ndimage

from infarct.measure.radiomics import DEFAULT, Merging, region_features
from infarct.types import Float32Array, LabelArray

SPACING_MM = (5.0, 0.45, 0.45)
MERGINGS: dict[Merging, str] = {
    "2D_comb": "2d_slice_merge",
    "2_5D_comb": "2.5d_volume_merge",
    "3D_comb": "3d_volume_merge",
}
ROWS: tuple[tuple[Merging, int], ...] = (("2D_comb", 1), ("2_5D_comb", 1), ("2_5D_comb", 4), ("3D_comb", 1))
"""What is merged, and how many pixels neighbours are apart; 4 pixels are our default of 2 mm."""


def made_up_head(regions: int) -> tuple[Float32Array, LabelArray]:
    """Return correlated noise about grey and white matter, in whole HU (mirp rounds CT), and blobs of about 20 ml."""
    random = np.random.default_rng(1)
    shape = (30, 512, 512)
    noise = ndimage.gaussian_filter(random.normal(size=shape), (0, 1, 1))
    coarse = ndimage.gaussian_filter(random.normal(size=shape), (1, 8, 8))
    hu = np.round(33 + 5 * noise / noise.std() + 6 * np.sign(coarse)).astype(np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    z, y, x = np.indices(shape, sparse=True)
    for number in range(regions):
        centre = (8 + 12 * (number // 10), 100 + 150 * (number % 10 // 5), 60 + 95 * (number % 5))
        radii = (random.uniform(1.5, 3.5), random.uniform(35, 60), random.uniform(25, 45))
        ellipse = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True)) < 1
        labels[ellipse] = number + 1
        hu[centre] = DEFAULT.highest_hu
        hu[centre[0], centre[1], centre[2] + 1] = 700.0  # bone, which both leave out
    return hu, labels


def by_mirp(hu: Float32Array, labels: LabelArray, merging: Merging, distance_px: int) -> dict[int, dict[str, float]]:
    """Return mirp's features by label and by our names."""
    found = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        (row,) = extract_features(
            image=hu[box], mask=(labels[box] == label).astype(np.uint8), image_modality="ct",
            image_spacing=SPACING_MM, write_features=False, export_features=True,
            resegmentation_intensity_range=[DEFAULT.lowest_hu, DEFAULT.highest_hu],
            base_feature_families=["stat", "ih", "cm"], base_discretisation_method="fixed_bin_size",
            base_discretisation_bin_width=DEFAULT.bin_width_hu, glcm_distance=float(distance_px),
            glcm_spatial_method=MERGINGS[merging], by_slice=False,
        )  # fmt: skip
        found[label] = {our_name(name, merging): row[name].iloc[0] for name in row.columns}
    return found


def our_name(name: str, merging: Merging) -> str:
    """Return our name of mirp's "cm_corr_d1_3d_v_mrg_fbs_w4.0"."""
    plain = re.sub(r"(_d[\d.]+_.*)?(_fbs_w.*)?$", "", name)
    return f"{plain}_{merging}" if name.startswith("cm_") else plain


def main(regions: int) -> None:
    warnings.filterwarnings("ignore")
    logging.disable()
    hu, labels = made_up_head(regions)
    print(f"{regions} regions of {(labels > 0).sum() * np.prod(SPACING_MM) / 1000 / regions:.0f} ml")
    for merging, distance_px in ROWS:
        settings = replace(DEFAULT, merging=merging, distance_mm=distance_px * SPACING_MM[1])
        begin = time.process_time()
        ours = region_features(hu, labels, SPACING_MM, settings)
        middle = time.process_time()
        theirs = by_mirp(hu, labels, merging, distance_px)
        seconds = middle - begin, time.process_time() - middle
        gaps: dict[str, float] = {}
        for label, found in ours.items():
            for name, value in found.items():
                gaps[name] = max(gaps.get(name, 0.0), abs(value / theirs[label][name] - 1))
        worst = max(gaps, key=gaps.__getitem__)
        print(
            f"{merging:<9} {distance_px} px: {len(gaps)} features, "
            f"greatest relative difference {gaps[worst]:.1e} ({worst}); "
            f"processor time {seconds[0]:.2f} s, mirp {seconds[1]:.1f} s, ratio {seconds[0] / seconds[1]:.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
