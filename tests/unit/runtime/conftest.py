"""Weights that several tests of this room run."""

import pytest

from infarct.weights import WeightSet
from unit.runtime.mock_weights import random_weights


@pytest.fixture(scope="session")
def mock_weights() -> WeightSet:
    """Return a small random network with one input and two outputs."""
    return random_weights()
