"""Measure by how much the two sides of healthy heads differ: the constants of `infarct.phantom.observer`.

    python tools/measure_anatomy_power.py [number of heads]

Healthy phantoms of the training split are scanned upright in slices of 1 mm without noise or artefacts, the right side
is mirrored across x = 0 and taken from the left, parenchyma from parenchyma: fluid and its border of 1.5 mm, which a
reader sees for itself, are left out.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage, special
from torch import Tensor

from infarct.phantom import Pose, Visit, draw, render
from infarct.phantom.assembly import TISSUES
from infarct.phantom.observer import SIDES_PER_MM
from infarct.phantom.patient import Protocol
from infarct.phantom.response import kernel_mtf
from infarct.types import BoolArray, Float32Array, Float64Array

PIXEL_MM = 0.5
SLICE_MM = 1.0
BORDER_MM = 1.5
LARGE_SHARE = 0.5
"""Slices with this share of the largest slice's intracranial area are used."""
REACH_MM = 40.0
FITTED_PER_MM = (0.03, 0.2)
FITTED_DEPTH_MM = 12


def quiet(protocol: Protocol) -> Protocol:
    """Return an upright, thin, noise-free acquisition by the same scanner."""
    return replace(
        protocol,
        thickness_mm=SLICE_MM,
        gaps_mm=(SLICE_MM,),
        tilt_deg=0.0,
        pixel_mm=PIXEL_MM,
        kernel="standard",
        kernel_sharpness=1.0,
        noise_hu=0.0,
        offset_hu=0.0,
        cupping_hu=0.0,
        petrous_hu=0.0,
        streaks_hu=0.0,
        motion_mm=0.0,
        padding=False,
        head_rest=False,
        pose=Pose(),
    )


def mirrored(volume: Tensor, middle_px: float) -> Tensor:
    """Return a volume (z, y, x) with its columns reflected at ``middle_px``, exactly for what its pixels can hold."""
    columns = volume.shape[-1]
    frequency = torch.fft.rfftfreq(columns)
    turned = torch.exp(-2j * torch.pi * frequency * (2 * middle_px - (columns - 1)))
    return torch.fft.irfft(torch.fft.rfft(volume.flip(-1)) * turned, n=columns)


def difference(visit: Visit) -> tuple[Float32Array, BoolArray]:
    """Return the left side less the mirrored right, and where both are parenchyma, (z, y, x) of the large slices."""
    middle_px = -float(visit.geometry.origins_mm[0, 0]) / PIXEL_MM
    area = visit.truth["intracranial"].sum(dim=(1, 2))
    large = area >= LARGE_SHARE * area.max()
    hu = visit.hu[large].clamp(-50, 120)
    tissue = visit.truth["tissue"][large]
    parenchyma = (tissue == TISSUES.index("grey")) | (tissue == TISSUES.index("white"))
    inner = np.stack(
        [ndimage.binary_erosion(plane, iterations=round(BORDER_MM / PIXEL_MM)) for plane in parenchyma.numpy()]
    )
    other = mirrored(torch.from_numpy(inner).float(), middle_px).numpy() > 0.9
    left = np.arange(hu.shape[-1]) > middle_px + 1
    return (hu - mirrored(hu, middle_px)).numpy(), np.asarray(inner & other & left)


def radial_products(values: Float32Array, valid: BoolArray) -> Float64Array:
    """Return sums of products and numbers of pairs of valid pixels of a slice by their distance in pixels, (2, n)."""
    reach = int(REACH_MM / PIXEL_MM)
    rows, columns = np.flatnonzero(valid.any(axis=(0, 2))), np.flatnonzero(valid.any(axis=(0, 1)))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    size = [span.stop - span.start + reach for span in part]
    sums = np.zeros((2, *size))
    for plane, mask in zip(values[:, *part], valid[:, *part], strict=True):
        fields = np.fft.rfft2(np.stack([plane * mask, mask.astype(np.float32)]), size)
        sums += np.fft.irfft2(np.abs(fields) ** 2, size)
    lag_y, lag_x = (np.minimum(np.arange(count), count - np.arange(count)) for count in size)
    ring = np.rint(np.hypot(lag_y[:, None], lag_x[None, :])).astype(int).ravel()
    return np.array([np.bincount(ring, weights=total.ravel())[:reach] for total in sums])


def depth_products(values: Float32Array, valid: BoolArray) -> Float64Array:
    """Return sums of products and numbers of pairs of valid voxels by their distance along z in slices, (2, n)."""
    found = []
    for lag in range(FITTED_DEPTH_MM + 1):
        both = valid[lag:] & valid[: len(valid) - lag]
        found.append(
            (float((values[lag:] * values[: len(values) - lag])[both].sum(dtype=np.float64)), float(both.sum()))
        )
    return np.array(found).T


def spectrum(covariance: Float64Array, frequency: Float64Array) -> Float64Array:
    """Return the power in HU^2 mm^2 at ``frequency`` of an isotropic covariance in steps of a pixel, tapered."""
    distance = np.arange(len(covariance)) * PIXEL_MM
    taper = np.cos(np.pi / 2 * np.minimum(distance / REACH_MM, 1)) ** 2
    waves = special.j0(2 * np.pi * frequency[:, None] * distance)
    return np.asarray(2 * np.pi * PIXEL_MM * waves @ (covariance * taper * distance))


def main() -> None:
    """Print the constants, and the measured power beside the fitted."""
    heads = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    in_plane, in_depth = np.zeros((2, int(REACH_MM / PIXEL_MM))), np.zeros((2, FITTED_DEPTH_MM + 1))
    for index in range(heads):
        patient = draw("healthy", index, "train")
        quiet_patient = replace(patient, acute=quiet(patient.acute))
        sides, valid = difference(render(quiet_patient).acute)
        in_plane += radial_products(sides, valid)
        in_depth += depth_products(sides, valid)
        print(f"head {index}: SD of the difference {sides[valid].std():.2f} HU", file=sys.stderr)
    frequency = np.geomspace(*FITTED_PER_MM, 12)
    mtf = kernel_mtf(torch.from_numpy(frequency), quiet_patient.acute).numpy()
    power = spectrum(in_plane[0] / np.maximum(in_plane[1], 1), frequency) / mtf**2
    usable = power > 0
    slope, level = np.polyfit(np.log(frequency[usable] / SIDES_PER_MM), np.log(power[usable]), 1)
    alike = (in_depth[0] / in_depth[1])[1:] / (in_depth[0] / in_depth[1])[0]
    depth_mm = -np.sum(np.arange(1, len(alike) + 1) ** 2) / np.sum(np.arange(1, len(alike) + 1) * np.log(alike))
    print(f"SIDES_HU2_MM2 = {np.exp(level):.1f}\nSIDES_EXPONENT = {-slope:.2f}\nSIDES_DEPTH_MM = {depth_mm:.1f}")
    fitted = np.exp(level) * (frequency / SIDES_PER_MM) ** slope
    for row in zip(frequency, power, fitted, strict=True):
        print("{:.3f}/mm measured {:8.1f} fitted {:8.1f} HU^2 mm^2".format(*row))
    print("alike by mm along z:", *(f"{value:.2f}" for value in alike))


if __name__ == "__main__":
    main()
