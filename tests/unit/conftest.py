"""Demo patients and their prepared heads, made once for all tests of a process."""

from dataclasses import replace

import pytest

from infarct.atlas import Atlas, load_atlas
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head, working_hu
from infarct.preprocess.midplane import mirrored
from plain_head import PlainPatient, PlainSetup, make_plain_patient

CHEAP_MM = 1.0
"""Pixels of the demo patients in tests: the working grid is no finer."""


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    """Return the shipped atlas."""
    return load_atlas()


@pytest.fixture(scope="session")
def healthy_patient() -> PlainPatient:
    """Return a healthy demo patient."""
    return make_plain_patient(3, PlainSetup(healthy=True, pixel_spacing_mm=CHEAP_MM))


@pytest.fixture(scope="session")
def still_patient() -> PlainPatient:
    """Return the healthy patient without noise."""
    return make_plain_patient(3, PlainSetup(healthy=True, pixel_spacing_mm=CHEAP_MM, noise_hu=0.0))


@pytest.fixture(scope="session")
def healthy_head(healthy_patient: PlainPatient) -> Head:
    """Return the healthy patient's head, prepared."""
    return prepare_head(healthy_patient.scan)


@pytest.fixture(scope="session")
def left_patient() -> PlainPatient:
    """Return a demo patient with a lesion on the left."""
    return make_plain_patient(5, PlainSetup(side="left", pixel_spacing_mm=CHEAP_MM))


@pytest.fixture(scope="session")
def left_head(left_patient: PlainPatient) -> Head:
    """Return the prepared head of the patient with a lesion on the left."""
    return prepare_head(left_patient.scan)


@pytest.fixture(scope="session")
def still_head(still_patient: PlainPatient, healthy_head: Head) -> Head:
    """Return the healthy head without noise: all but the HU are the noisy one's."""
    hu = working_hu(still_patient.scan, healthy_head.geometry)
    return replace(healthy_head, hu=hu, mirrored_hu=mirrored(hu, healthy_head.geometry, healthy_head.midplane))
