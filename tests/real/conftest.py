"""Real scans, in the folder named by the environment variable INFARCT_REAL_DATA."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    named = os.environ.get("INFARCT_REAL_DATA")
    if not named:
        pytest.fail("set INFARCT_REAL_DATA to the folder that holds the real scans")
    return Path(named)


@pytest.fixture(scope="session")
def folder(real_data: Path) -> Path:
    """A GE head CT: gantry tilt of 18.5 degrees, two stacks of slices, old-looking left temporo-occipital lesion."""
    path = real_data / "ge_tilt_dicom"
    if not path.is_dir():
        pytest.fail("INFARCT_REAL_DATA holds no folder ge_tilt_dicom")
    return path
