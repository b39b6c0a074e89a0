"""Reading 300 slices of 512 x 512: ours against SimpleITK's series reader and dcm2niix, seconds and ratio.

Ours sorts by position, checks every slice against its neighbours and explains its choice of series; the others only
read or convert. Run: python bench/bench_reading.py [slices]
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dcm2niix
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from acceptance.stored_scans import write_dicom
from infarct.readers import read_scan
from infarct.volume import Geometry
from plain_head import PlainSetup, make_plain_patient

REPEATS = 3


def best_of(action: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def simpleitk_read(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def convert(folder: Path, out: Path) -> None:
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-w", "1", "-f", "ct", "-o", str(out), str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def main(slices: int) -> None:
    geometry = Geometry.regular((slices, 512, 512), (150 / slices, 0.45, 0.45), origin_mm=(-115.0, -115.0, -75.0))
    scan = make_plain_patient(1, PlainSetup(geometry=geometry)).scan
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = write_dicom(Path(temporary) / "series", scan), Path(temporary) / "out"
        out.mkdir()
        ours = best_of(lambda: read_scan(folder))
        theirs = {
            "SimpleITK": best_of(lambda: simpleitk_read(folder)),
            "dcm2niix": best_of(lambda: convert(folder, out)),
        }
    print(f"{slices} slices of 512 x 512, best of {REPEATS}")
    print(f"infarct    {ours:.2f} s")
    for name, seconds in theirs.items():
        print(f"{name:<10} {seconds:.2f} s, ratio {ours / seconds:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
