"""The atlas against a real average: a brain-only CT template of elderly people in the same space."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from infarct.atlas import load_atlas
from infarct.atlas.registration import register
from infarct.preprocess.intracranial import segment_stripped
from infarct.readers import read_scan
from infarct.volume import Scan, resample

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def template(real_data: Path) -> Scan:
    path = real_data / "ct_template" / "scct_brain_1mm_hu.nii.gz"
    assert nib.load(path).shape == (181, 217, 181)
    return read_scan(path)


def test_it_is_read_as_a_stripped_brain(template: Scan) -> None:
    assert "skull_stripped" in {flag.code for flag in template.flags}


def test_registration_finds_the_space_they_share(template: Scan) -> None:
    grid = template.geometry.regridded((2.0, 2.0, 2.0))
    hu = resample(template.hu, template.geometry, grid, antialias=True, fill=0.0)
    brain = segment_stripped(hu, grid)
    registration = register(hu, brain, grid, load_atlas())
    assert registration.is_reliable
    points = grid.index_to_world(np.argwhere(brain)[::501])
    moved = points @ registration.scan_to_atlas[:3, :3].T + registration.scan_to_atlas[:3, 3]
    assert np.linalg.norm(moved - points, axis=1).mean() < 5.0
