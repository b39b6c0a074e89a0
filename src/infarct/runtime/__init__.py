"""Running trained networks: engines on processor and GPU, and tiled inference. Imports torch only where needed."""

from infarct.runtime.engine import Engine, PrecisionChoice, make_engine
from infarct.runtime.tiles import Blending, predict_tiled

__all__ = ["Blending", "Engine", "PrecisionChoice", "make_engine", "predict_tiled"]
