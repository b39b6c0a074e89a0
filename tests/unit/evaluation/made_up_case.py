"""One small case, and a made-up system that answers it."""

from dataclasses import dataclass

import numpy as np

from infarct.cohorts import Case, Clinical, LabelledScan
from infarct.evaluation.segment import Prediction
from infarct.systems.segment import Segmenter
from infarct.volume import Geometry, Scan

GEOMETRY = Geometry.regular((10, 30, 30), (2.5, 4.0, 4.0))
LESION = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
LESION[2:6, 5:15, 5:15] = True
SCAN = Scan(np.full(GEOMETRY.shape_zyx, 35, np.float32), GEOMETRY)
CASE = Case("scan-1", "patient-1", "final", lambda: LabelledScan(SCAN, LESION), Clinical(onset_h=7.0))


def answer(scan: Scan) -> Prediction:
    mask = np.zeros(scan.hu.shape, dtype=bool)
    mask[len(mask) // 4 : len(mask) // 2, 5:15, 5:15] = True
    return Prediction(mask, brain=np.ones_like(mask))


@dataclass(frozen=True)
class Fake:
    """Has the names of weights, of a config or of an engine."""

    system: str = "segment"
    name: str = "fake"
    sha256: str = "abc"
    version: str = "1"
    precision: str = "fp32"
    device: str = "cpu"


SEGMENTER = Segmenter(Fake(), Fake(), Fake())  # type: ignore[arg-type]
