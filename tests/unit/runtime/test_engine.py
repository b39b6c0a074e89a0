"""The choice of an engine, and what its provenance says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infarct.errors import BadRequest
from infarct.runtime import engine as room
from infarct.runtime import make_engine
from infarct.weights import WeightSet


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_cuda_is_there", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_the_processor_runs_openvino_in_the_precision_that_was_asked(mock_weights: WeightSet) -> None:
    made = make_engine(mock_weights, threads=1)
    assert (made.name, made.device, made.precision, made.threads) == ("openvino", "cpu", "fp32", 1)
    assert made.version[0].isdigit()
    assert "-" not in made.version


@pytest.mark.usefixtures("no_gpu")
def test_torch_stands_in_where_openvino_is_not_installed(
    mock_weights: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    made = make_engine(mock_weights, threads=1)
    assert (made.name, made.device, made.precision, made.threads) == ("torch", "cpu", "fp32", 1)


@pytest.mark.usefixtures("no_gpu")
def test_all_cores_are_the_default(mock_weights: WeightSet) -> None:
    assert make_engine(mock_weights, engine="torch").threads == room.available_cores()
    if hasattr(os, "sched_getaffinity"):
        assert room.available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_not_there_is_refused(mock_weights: WeightSet) -> None:
    with pytest.raises(BadRequest, match="no NVIDIA GPU"):
        make_engine(mock_weights, device="cuda")


def test_openvino_is_not_for_gpus(mock_weights: WeightSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_cuda_is_there", lambda: True)
    with pytest.raises(BadRequest, match="processor only"):
        make_engine(mock_weights, device="cuda", engine="openvino")
    assert make_engine(mock_weights, engine="openvino", threads=1).device == "cpu"


@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_automatic_precision_is_what_the_processor_has(
    mock_weights: WeightSet, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    from infarct.runtime import openvino_engine

    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
            return ["FP32", "BF16"] if choice == "bf16" else ["FP32"]

    class OpenVino:
        __version__ = "2026.4.1-1-abc"
        Core: Callable[[], object]

    OpenVino.Core = Core
    monkeypatch.setattr(openvino_engine, "load_openvino", lambda: OpenVino)
    assert make_engine(mock_weights, device="cpu", precision="auto").precision == choice
    assert make_engine(mock_weights, device="cpu", precision="fp32").precision == "fp32"
    if choice == "bf16":
        assert make_engine(mock_weights, device="cpu", precision="bf16").precision == "bf16"
    else:
        with pytest.raises(BadRequest, match="does not compute in bf16"):
            make_engine(mock_weights, device="cpu", precision="bf16")


def test_torch_on_the_processor_is_exact_unless_told_otherwise(mock_weights: WeightSet) -> None:
    def precision(choice: room.PrecisionChoice) -> str:
        return make_engine(mock_weights, device="cpu", engine="torch", precision=choice).precision

    assert [precision("auto"), precision("fp32"), precision("bf16")] == ["fp32", "fp32", "bf16"]


CACHED = """
import sys
import numpy as np
from pathlib import Path
from infarct.runtime import make_engine, predict_tiled
from infarct.weights import load_weights
weights = load_weights(Path(sys.argv[1]))
engine = make_engine(weights, device="cpu", threads=1, cache=Path(sys.argv[2]))
brain = np.ones((8, 16, 16), dtype=bool)
answer = predict_tiled(engine, np.ones((1, 8, 16, 16), np.float32), brain, tile_zyx=(8, 16, 16))
assert answer.shape == (2, 8, 16, 16)
assert 'torch' not in sys.modules
"""


def test_a_cached_model_runs_without_torch(mock_weights: WeightSet, tmp_path: Path) -> None:
    """It would take a second to import and a quarter of a gigabyte."""
    import numpy as np

    from infarct.weights import save_weights

    path = save_weights(mock_weights, tmp_path / "w.safetensors")
    make_engine(mock_weights, device="cpu", threads=1, cache=tmp_path).run(np.zeros((1, 1, 8, 16, 16), np.float32))
    done = subprocess.run(
        [sys.executable, "-c", CACHED, str(path), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
