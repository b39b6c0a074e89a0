"""`infarct analyze` from start to end, as a process of its own, against SimpleITK reading and registering the scan.

The peer does the least that any such program must: read the series and fit a brain template to it. Run:
python bench/bench_analyze.py [DICOM-folder]; without a folder a phantom of 32 slices of 512 x 512 is used.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PEER = """
import sys
import numpy as np
import SimpleITK as sitk
from infarct.atlas import load_atlas
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
scan = sitk.Clamp(sitk.Cast(reader.Execute(), sitk.sitkFloat32), sitk.sitkFloat32, 0, 80)
atlas = load_atlas()
template = sitk.GetImageFromArray(np.clip(atlas.template_hu, 0, 80))
template.SetOrigin(atlas.geometry.origins_mm[0].tolist())
start = sitk.CenteredTransformInitializer(
    template, scan, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.MOMENTS)
method = sitk.ImageRegistrationMethod()
method.SetMetricAsMattesMutualInformation(32)
method.SetMetricSamplingStrategy(method.RANDOM)
method.SetMetricSamplingPercentage(0.05, 1)
method.SetInterpolator(sitk.sitkLinear)
method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
method.SetOptimizerScalesFromPhysicalShift()
method.SetShrinkFactorsPerLevel([4, 2])
method.SetSmoothingSigmasPerLevel([2, 1])
method.SetInitialTransform(start, inPlace=False)
method.Execute(template, scan)
"""


def seconds_of(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def phantom_folder(temporary: Path) -> Path:
    from acceptance.stored_scans import write_dicom
    from plain_head import make_plain_patient

    return write_dicom(temporary / "series", make_plain_patient(1).scan)


def main(folder: Path | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        series = folder or phantom_folder(temporary)
        ours = seconds_of(
            [sys.executable, "-m", "infarct", "analyze", str(series), "-o", str(temporary / "out"), "--quiet"]
        )
        theirs = seconds_of([sys.executable, "-c", PEER, str(series)])
    print(f"infarct analyze: {ours:.1f} s start to end (goal 25 s)")
    print(f"SimpleITK, reading and one affine fit alone: {theirs:.1f} s; ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
