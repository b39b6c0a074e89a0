"""Which data set a folder holds."""

from pathlib import Path
from typing import Final

from infarct.cohorts import aisd, apis, cpaisd, isles18, isles24, manifest, phantom_disk
from infarct.cohorts.case import Cohort
from infarct.cohorts.layout import Layout
from infarct.errors import BadRequest

LAYOUTS: Final[tuple[Layout, ...]] = (
    manifest.LAYOUT,
    phantom_disk.LAYOUT,
    isles24.LAYOUT,
    aisd.LAYOUT,
    cpaisd.LAYOUT,
    apis.LAYOUT,
    isles18.LAYOUT,
)
"""Supported data sets. A table that the user wrote comes first: it says what is meant."""


def open_cohort(path: Path) -> Cohort:
    """Return the cohort in a folder (or of a manifest file), recognised by what is in it; no image is read.

    Raises `BadRequest` where nothing is there, no supported layout is recognised, or a table cannot be used.
    """
    if not path.exists():
        raise BadRequest("the cohort does not exist; pass a folder or a manifest CSV")
    try:
        for layout in LAYOUTS:
            place = layout.find(path)
            if place is not None:
                return layout.read(place)
    except OSError as error:
        raise BadRequest(f"the folder cannot be listed ({error.strerror})") from error
    looks = "; ".join(layout.looks for layout in LAYOUTS)
    raise BadRequest(f"the folder holds no data set that is known; supported are {looks}")
