"""Tiled inference of the paper's network on the processor: time and peak memory, ours against two peers, as ratios.

Ours: OpenVINO in bf16 (where the processor has it) and fp32, and torch as `infarct` sets it up. The peers: plain torch
in MONAI's sliding window, with the same weights, so that its answer is compared too; and nnU-Net v2's predictor with a
plain U-Net of about the same size, in an environment of its own: `python -m venv E; E/bin/pip install nnunetv2`.

All get a synthetic brain cropped to its bounding box, as the paper's preprocessing leaves it, and tiles that overlap by
25 %; each runs in a process of its own. Imports, conversion and a first tile are not counted. Run:
python bench/bench_segment.py [--quick] [--threads N] [--nnunet PYTHON]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infarct.runtime.engine import available_cores

Zyx = tuple[int, int, int]
BRAIN_MM = (130.0, 170.0, 136.0)
"""Height, length and width of the synthetic brain, an ellipsoid."""
OVERLAP = 0.25
BASE = 16
DEEP = ((2, 2, 2),) * 3


@dataclass(frozen=True)
class Setting:
    """A scan and the tiles it is read in; ``stride`` is the network's first one, in plane only for thick slices."""

    name: str
    shape: Zyx
    spacing_mm: tuple[float, float, float]
    tile: Zyx
    stride: Zyx

    @property
    def strides(self) -> tuple[Zyx, ...]:
        """All strides of the network."""
        return (self.stride, *DEEP)


THIN = Setting("thin, 512x512x400", (400, 512, 512), (0.5, 0.45, 0.45), (128, 128, 128), (2, 2, 2))
THICK = Setting("thick, 512x512x32", (32, 512, 512), (5.0, 0.45, 0.45), (32, 128, 128), (1, 2, 2))


def quick(setting: Setting) -> Setting:
    """Return the same head on voxels four times as long in plane, and across thin slices."""
    along_z = 4 if setting.shape[0] > 100 else 1
    z, y, x = setting.shape
    dz, dy, dx = setting.spacing_mm
    tile = (setting.tile[0] // along_z, 32, 32)
    shape = (z // along_z, y // 4, x // 4)
    return Setting(f"quick {setting.name}", shape, (dz * along_z, dy * 4, dx * 4), tile, setting.stride)


def cropped_brain(setting: Setting, folder: Path) -> int:
    """Write channels and brain of a synthetic head, cropped to the brain; return the number of voxels."""
    half = [length / 2 / spacing for length, spacing in zip(BRAIN_MM, setting.spacing_mm, strict=True)]
    shape = [min(2 * int(h) + 1, n) for h, n in zip(half, setting.shape, strict=True)]
    axes = [((np.arange(n) - (n - 1) / 2) / h) ** 2 for n, h in zip(shape, half, strict=True)]
    brain = axes[0][:, None, None] + axes[1][:, None] + axes[2] < 1
    noise = np.random.default_rng(0).standard_normal(brain.shape, dtype=np.float32)
    texture = (
        np.sin(np.arange(shape[2], dtype=np.float32) / 9) * np.cos(np.arange(shape[1], dtype=np.float32) / 7)[:, None]
    )
    np.save(folder / "channels.npy", np.where(brain, 0.5 + 0.1 * noise + 0.1 * texture, 0).astype(np.float32)[None])
    np.save(folder / "brain.npy", brain)
    return int(brain.size)


def write_weights(setting: Setting, folder: Path) -> int:
    """Write the paper's network with random weights, and return its number of parameters."""
    import torch

    from infarct.networks import build
    from infarct.weights import WeightSet, save_weights

    torch.manual_seed(0)
    config = {"base": BASE, "strides": setting.strides}
    tensors = {key: values.numpy() for key, values in build("se_res_unet", config).state_dict().items()}
    save_weights(WeightSet("segment", "bench", "se_res_unet", config, {}, tensors, {}), folder / "weights")
    return sum(values.size for values in tensors.values())


COMMON = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
folder, threads, tile, strides, overlap = Path(sys.argv[1]), *json.loads(sys.argv[2])
channels, brain = np.load(folder / "channels.npy"), np.load(folder / "brain.npy")
def report(begin, probabilities, name):
    seconds = time.perf_counter() - begin
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(folder / f"{name}.npy", np.where(brain, probabilities, 0).astype(np.float32))
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb}))
"""
OURS = """
from infarct.runtime import make_engine, predict_tiled
from infarct.weights import load_weights
name, engine, precision = sys.argv[3:]
runner = make_engine(
    load_weights(folder / "weights"), device="cpu", engine=engine, precision=precision, threads=threads, cache=folder
)
runner.run(np.zeros((1, 1, *tile), np.float32))  # converts and compiles
begin = time.perf_counter()
report(begin, predict_tiled(runner, channels, brain, tile_zyx=tuple(tile), overlap=overlap)[0], name)
"""
MONAI = """
import torch
from monai.inferers import SlidingWindowInferer
from infarct.runtime.torch_module import torch_module
from infarct.weights import load_weights
torch.set_num_threads(threads)
module = torch_module(load_weights(folder / "weights"))
inferer = SlidingWindowInferer(tile, sw_batch_size=1, overlap=overlap, mode="constant")
with torch.inference_mode():
    module(torch.zeros(1, 1, *tile))
    begin = time.perf_counter()
    probabilities = inferer(torch.from_numpy(channels)[None], lambda batch: torch.sigmoid(module(batch)))[0, 0].numpy()
report(begin, probabilities, sys.argv[3])
"""
NNUNET = """
import contextlib, os
for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ[variable] = str(folder)  # it wants them even where nothing is read
from types import SimpleNamespace
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
torch.set_num_threads(threads)
torch.manual_seed(0)
module = PlainConvUNet(
    1, 5, [BASE * 2**n for n in range(5)], torch.nn.Conv3d, 3, [1, *strides], 2, 1, 2,
    norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"affine": True}, nonlin=torch.nn.LeakyReLU,
)
print(sum(p.numel() for p in module.parameters()), "parameters in nnU-Net's network", file=sys.stderr)
predictor = nnUNetPredictor(
    tile_step_size=1 - overlap, use_gaussian=True, use_mirroring=False, perform_everything_on_device=False,
    device=torch.device("cpu"), allow_tqdm=False,
)
predictor.network = module.eval()
predictor.configuration_manager = SimpleNamespace(patch_size=tile)
predictor.label_manager = SimpleNamespace(num_segmentation_heads=1)
with contextlib.redirect_stdout(sys.stderr), torch.inference_mode():
    module(torch.zeros(1, 1, *tile))
    begin = time.perf_counter()
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(channels))[0]
    probabilities = torch.sigmoid(logits.float()).numpy()
report(begin, probabilities, sys.argv[3])
"""


def measure(python: str, script: str, setting: Setting, folder: Path, threads: int, *words: str) -> dict[str, float]:
    """Run ``script`` in a process of its own; return its seconds and its peak of memory in MB."""
    order = json.dumps([threads, setting.tile, setting.strides, OVERLAP])
    code = COMMON + script.replace("BASE", str(BASE))
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code, str(folder), order, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def agreement(folder: Path, name: str) -> str:
    """Say how far the probabilities of ``name`` are from MONAI's, and the Dice of masks cut at its 90th percentile."""
    brain = np.load(folder / "brain.npy")
    found, expected = (np.load(folder / f"{which}.npy")[brain] for which in (name, "monai"))
    cut = np.quantile(expected, 0.9)
    both = ((found > cut) & (expected > cut)).sum()
    dice = 2 * both / ((found > cut).sum() + (expected > cut).sum())
    return f"largest difference {np.abs(found - expected).max():.1e}, Dice {dice:.4f}"


def compare(setting: Setting, threads: int, nnunet: str | None, precisions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        voxels, parameters = cropped_brain(setting, folder), write_weights(setting, folder)
        tile = "x".join(map(str, setting.tile))
        print(
            f"\n{setting.name}: {voxels / 1e6:.1f} M voxels, tiles {tile}, {parameters:,} parameters, {threads} threads"
        )
        rows = {"monai": measure(sys.executable, MONAI, setting, folder, threads, "monai")}
        if nnunet:
            rows["nnunet"] = measure(nnunet, NNUNET, setting, folder, threads, "nnunet")
        ours = [("openvino", precision) for precision in precisions] + [("torch", "fp32")]
        for engine, precision in ours:
            words = (f"{engine} {precision}", engine, precision)
            rows[words[0]] = measure(sys.executable, OURS, setting, folder, threads, *words)
        for row, figures in rows.items():
            note = "" if row in ("monai", "nnunet") else agreement(folder, row)
            print(f"  {row:14} {figures['seconds']:7.1f} s  {figures['peak_mb']:6.0f} MB  {note}")
        for peer in ("monai", "nnunet"):
            for engine, precision in ours if peer in rows else ():
                row = f"{engine} {precision}"
                ratio = rows[peer]["seconds"] / rows[row]["seconds"]
                memory = rows[peer]["peak_mb"] / rows[row]["peak_mb"]
                print(f"  {row} against {peer}: {ratio:.2f} times as fast, {memory:.2f} times less memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a 64th of the voxels: only shows that it runs")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--nnunet", metavar="PYTHON", help="interpreter of an environment with nnunetv2")
    options = parser.parse_args()
    from infarct.runtime.openvino_import import load_openvino

    bf16 = "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for setting in (THIN, THICK):
        chosen = quick(setting) if options.quick else setting
        compare(chosen, options.threads, options.nnunet, ["bf16", "fp32"] if bf16 else ["fp32"])


if __name__ == "__main__":
    main()
