"""Registration to the atlas: ours against SimpleITK's on the same heads, error and seconds.

SimpleITK gets what ours gets: the same fitted image (HU clipped inside the intracranial mask), the same 4 mm grid, and
our coarse search's best pose as its start, which flatters it. Run: python bench/bench_registration.py [heads]
"""

import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from infarct.atlas import load_atlas
from infarct.atlas import registration as ours
from infarct.phantom import Pose
from infarct.preprocess.intracranial import segment_intracranial
from infarct.types import Float64Array
from infarct.volume import Geometry
from plain_head import MNI_PER_HEAD, PlainSetup, make_plain_patient

FIELD = Geometry.regular((48, 250, 250), (5.0, 1.2, 1.2), origin_mm=(-150.0, -150.0, -120.0))


def image_of(level: ours._Level) -> sitk.Image:
    image = sitk.GetImageFromArray(level.values)
    image.SetSpacing(level.geometry.spacing_mm_zyx[::-1])
    image.SetOrigin(level.geometry.origins_mm[0].tolist())
    image.SetDirection(level.geometry.directions.ravel().tolist())
    return image


def simpleitk_fit(template: ours._Level, scan: ours._Level, start: Float64Array) -> Float64Array:
    """Return SimpleITK's affine from template to scan (4x4), by mean squares from ``start``."""
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(start[:3, :3].ravel().tolist())
    affine.SetTranslation(start[:3, 3].tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsConjugateGradientLineSearch(1.0, 100, 1e-5, 5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(image_of(template), image_of(scan))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(affine.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = affine.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def main(heads: int) -> None:
    atlas = load_atlas()
    points = atlas.geometry.index_to_world(np.argwhere(atlas.brain)[::997])
    ours._template_level(atlas, ours.COARSE_MM), ours._template_level(atlas, ours.FINE_MM)
    rows: list[tuple[float, float, float, float]] = []
    for number in range(heads):
        random = np.random.default_rng(30_000 + number)
        pitch, roll, yaw = random.uniform(-25, 25, 3).tolist()
        patient = make_plain_patient(number, PlainSetup(pose=Pose(pitch, roll, yaw), geometry=FIELD))
        brain = segment_intracranial(patient.scan.hu, FIELD)
        truth = np.linalg.inv(patient.truth.scan_to_atlas)
        world = points @ truth[:3, :3].T + truth[:3, 3]

        def error_mm(template_to_scan: Float64Array, world: Float64Array = world) -> float:
            found = world - template_to_scan[:3, 3]
            back = found @ np.linalg.inv(template_to_scan[:3, :3]).T
            return float(np.linalg.norm(back - points, axis=1).mean() / MNI_PER_HEAD)

        begin = time.perf_counter()
        fitted = ours.register(patient.scan.hu, brain, FIELD, atlas)
        our_s = time.perf_counter() - begin
        values = ours._fit_values(patient.scan.hu, brain)
        coarse = ours._Fit.between(
            ours._template_level(atlas, ours.COARSE_MM), ours._level(values, FIELD, ours.COARSE_MM)
        )
        start = coarse.matrix(coarse.starts()[0])
        fine = ours._level(values, FIELD, ours.FINE_MM)
        begin = time.perf_counter()
        theirs = simpleitk_fit(ours._template_level(atlas, ours.FINE_MM), fine, start)
        their_s = time.perf_counter() - begin
        rows.append((error_mm(fitted.atlas_to_scan), error_mm(theirs), our_s, their_s))
    errors_ours, errors_theirs, ours_s, theirs_s = (np.array(column) for column in zip(*rows, strict=True))
    print(f"{heads} heads, pose up to 25 degrees, 5 mm slices")
    print(f"infarct    error mean {errors_ours.mean():.2f} max {errors_ours.max():.2f} mm, {ours_s.mean():.2f} s")
    print(f"SimpleITK  error mean {errors_theirs.mean():.2f} max {errors_theirs.max():.2f} mm, {theirs_s.mean():.2f} s")
    print(
        f"ratio      error {errors_ours.mean() / errors_theirs.mean():.2f}, time {ours_s.mean() / theirs_s.mean():.2f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
