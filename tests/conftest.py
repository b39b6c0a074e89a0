"""Settings for all tests."""

import os

# Tests run in as many processes as there are cores; torch's own threads would only get in each other's way.
os.environ["OMP_NUM_THREADS"] = "1"
