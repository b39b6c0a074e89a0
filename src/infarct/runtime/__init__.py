"""Running trained networks: engines on processor and GPU, and tiled inference. Imports torch only where needed."""

from infarct.runtime.engine import Engine, PrecisionChoice, make_engine
from infarct.runtime.slices import predict_slices
from infarct.runtime.tiles import Blending, predict_tiled

__all__ = ["Blending", "Engine", "PrecisionChoice", "make_engine", "predict_slices", "predict_tiled"]
