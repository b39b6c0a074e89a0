"""Diffusion images of a real patient with scattered small infarcts on the left; there is no CT."""

from pathlib import Path

import numpy as np
import pytest

from infarct.readers.maps import read_map
from infarct.reference.dwi import Timing, read_dwi
from infarct.reference.dwi_images import diffusion_images

pytestmark = pytest.mark.real


def test_the_infarct_beside_the_left_ventricle_is_marked(real_data: Path) -> None:
    stem = real_data / "dwi_adc" / "sub-strokecase0001_ses-0001_"
    (dwi, geometry), (adc, _) = (read_map(Path(f"{stem}{name}.nii.gz")) for name in ("dwi", "adc"))
    images = diffusion_images(dwi, adc, geometry)
    assert images.adc_unit == "1e-3 mm2/s"
    lesions = read_dwi(images, timing=Timing()).lesions
    largest = lesions.pieces[0]
    np.testing.assert_allclose(largest.centroid_lps_mm, (23, 10, 61), atol=4)
    assert 0.2 < largest.volume_ml < 0.6
    assert lesions.mask.sum() * geometry.slice_voxel_ml[0] < 2
