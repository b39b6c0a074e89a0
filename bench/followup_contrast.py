"""How far follow-up infarcts of phantoms differ from the mirrored place, by class.

On heads prepared for the patch CNNs (`infarct train volumetry --cases`): for each validation head with an infarct, by
how many HU its median voxel is darker than the mirrored place. Blood and fluid are left out.

Run: python bench/followup_contrast.py CASES
"""

import sys
from pathlib import Path

import numpy as np

from infarct.measure.severity import SEVERITIES
from infarct.preprocess.segment_input import CENTRED_SCALE_HU
from infarct.training.patch_data import is_meant_for, is_wanted
from infarct.training.patch_store import load_patch_cases, read_patch_index

FAINT_HU = 3.0


def main() -> None:
    index = read_patch_index(Path(sys.argv[1]))
    found: dict[str, list[float]] = {name: [] for name in SEVERITIES}
    for listed in index.of("validation"):
        (case,) = load_patch_cases(index, [listed])
        if case.severity is None or not is_meant_for(case, case.severity, "volumetry"):
            continue
        infarct = is_wanted(case.marks, case.blood, "volumetry")
        own, mirrored = (image[infarct].astype(np.float32) for image in case.images)
        found[case.severity].append(float(np.median(mirrored - own)) * CENTRED_SCALE_HU)
    for name, darker_hu in found.items():
        quartiles = ", ".join(f"{value:.1f}" for value in np.percentile(darker_hu, (25, 50, 75)))
        faint = sum(value < FAINT_HU for value in darker_hu)
        print(
            f"{name}: {len(darker_hu)} heads, darker by {quartiles} HU (quartiles), {faint} by less than {FAINT_HU:g}"
        )


if __name__ == "__main__":
    main()
