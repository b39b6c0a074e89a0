"""Conversion and inference open no connection, start no process and write nothing outside the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infarct.weights import WeightSet, save_weights

GUARD = """
import sys
from pathlib import Path
import socket
heard = []
def refuse(*arguments, **named):
    heard.append(arguments)
    raise OSError('a connection was tried')
for name in ('connect', 'connect_ex', 'sendto', 'bind'):
    setattr(socket.socket, name, refuse)
def watch(event, arguments):
    if event.startswith('socket.') and event not in ('socket.gethostname',) or event in WATCHED:
        heard.append((event, arguments))
WATCHED = ('subprocess.Popen', 'os.posix_spawn', 'os.fork', 'os.system', 'urllib.Request')
"""
RUN = """
{before}
import numpy as np
from infarct.runtime import make_engine, predict_tiled
from infarct.weights import load_weights
import torch  # starts processes of its own to look at the machine
sys.addaudithook(watch)
weights = load_weights(Path(sys.argv[1]))
brain = np.ones((8, 16, 16), dtype=bool)
for precision in ('fp32', 'auto'):
    engine = make_engine(weights, device='cpu', engine='openvino', threads=1, precision=precision)
    predict_tiled(engine, np.ones((1, 8, 16, 16), np.float32), brain, tile_zyx=(8, 16, 16))
from openvino.tools.ovc import convert_impl, telemetry_stub
assert convert_impl.tm is telemetry_stub, 'the telemetry is live'
assert not heard, heard
"""


def files_written(weights: WeightSet, folder: Path, before: str) -> list[str]:
    """Run conversion and inference in a new home, and return the files in it."""
    path = save_weights(weights, folder / "w.safetensors")
    home = folder / "home"
    home.mkdir()
    surroundings = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    surroundings.pop("CI", None)  # where it is set, the telemetry keeps quiet of itself
    script = GUARD + RUN.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_nothing_is_sent_or_written(mock_weights: WeightSet, tmp_path: Path) -> None:
    (file,) = files_written(mock_weights, tmp_path, before="")
    assert file.startswith("cache/infarct/models/")


@pytest.mark.slow
def test_telemetry_that_was_imported_before_is_switched_off_too(mock_weights: WeightSet, tmp_path: Path) -> None:
    """A program that imports OpenVINO first, which writes into intel/ at once, and infarct after it."""
    files = files_written(mock_weights, tmp_path, before="import openvino, openvino_telemetry")
    (file,) = [name for name in files if not name.startswith("intel/")]
    assert file.startswith("cache/infarct/models/")


@pytest.mark.parametrize("before", ["", "import openvino, openvino_telemetry"])
def test_the_converter_has_a_stub_for_telemetry(before: str, tmp_path: Path) -> None:
    script = f"""
{before}
from infarct.runtime.openvino_import import load_openvino
load_openvino()
from openvino.tools.ovc import convert_impl, telemetry_stub, telemetry_utils
assert convert_impl.tm is telemetry_utils.tm is telemetry_stub
"""
    surroundings = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=surroundings, check=True)
    assert before or not list(tmp_path.iterdir())
