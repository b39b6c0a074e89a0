"""Deconvolution of analytic bolus passages, against the explicit matrix, and of a small 4D phantom."""

import numpy as np
import pytest

from infarct.errors import StepFailed
from infarct.reference.deconvolution import (
    STEP_S,
    TRUNCATION,
    Deconvolved,
    DynamicScan,
    baseline,
    deconvolve,
    gather,
    impulse_response,
    perfusion_of,
)
from infarct.types import Float32Array, Float64Array
from infarct.volume import Geometry

FACTOR = 0.55 / 0.75 / 1.04
FINE_S = 0.05
SPAN_S = 60.0


def gamma_variate(times_s: Float64Array, *, start_s: float = 8.0, peak_hu: float = 400.0) -> Float64Array:
    """Return a bolus with its peak 4.5 s after ``start_s``."""
    rise = np.maximum(times_s - start_s, 0) / 4.5
    return np.asarray(peak_hu * rise**3 * np.exp(3 * (1 - rise)))


def tissue(cbf: float, mtt_s: float, delay_s: float, *, box: bool = False, step_s: float = STEP_S) -> Float64Array:
    """Return the enhancement of tissue: the artery convolved with flow times residue on a fine time grid."""
    fine = np.arange(0, SPAN_S, FINE_S)
    residue = (fine < mtt_s) * 1.0 if box else np.exp(-fine / mtt_s)
    passed = np.convolve(gamma_variate(fine), residue)[: len(fine)] * FINE_S * cbf / 6000 / FACTOR
    return np.interp(np.arange(0, SPAN_S, step_s) - delay_s, fine, passed, left=0.0)


ARTERY = gamma_variate(np.arange(0, SPAN_S, STEP_S))


@pytest.mark.parametrize(
    ("cbf", "mtt_s", "box", "low", "high"),
    [
        (60.0, 4.0, True, 0.80, 0.90),
        (25.0, 10.0, True, 1.05, 1.20),
        (10.0, 12.0, True, 0.98, 1.12),
        (60.0, 4.0, False, 0.52, 0.62),
        (20.0, 6.0, False, 0.63, 0.73),
        (10.0, 12.0, False, 0.79, 0.89),
    ],
)
def test_flow_is_found_within_the_known_error(cbf: float, mtt_s: float, box: bool, low: float, high: float) -> None:
    """The dropped frequencies flatten a residue that falls at once more than a plug. Volumes are exact."""
    flow, volume, _ = perfusion_of(tissue(cbf, mtt_s, 2.0, box=box)[None], ARTERY, step_s=STEP_S)
    assert low * cbf < flow[0] < high * cbf
    assert volume[0] == pytest.approx(cbf * mtt_s / 60, rel=0.03)


@pytest.mark.parametrize("box", [False, True])
def test_flow_does_not_depend_on_delay_and_tmax_follows_it(box: bool) -> None:
    delays_s = np.array([0.0, 1.0, 2.0, 3.5, 5.0, 8.0])
    curves = np.stack([tissue(40.0, 5.0, delay, box=box) for delay in delays_s])
    flow, _, tmax_s = perfusion_of(curves, ARTERY, step_s=STEP_S)
    np.testing.assert_allclose(flow, flow[0], rtol=0.05)
    np.testing.assert_allclose(tmax_s - tmax_s[0], delays_s, atol=0.3)


def test_flow_does_not_depend_on_a_late_artery() -> None:
    """An artery that is picked downstream of the tissue: lags are negative, and Tmax is about 0."""
    early, _, _ = perfusion_of(tissue(40.0, 5.0, 0.0)[None], ARTERY, step_s=STEP_S)
    for late_s in (2.0, 4.0):
        artery = gamma_variate(np.arange(0, SPAN_S, STEP_S), start_s=8.0 + late_s)
        flow, _, tmax_s = perfusion_of(tissue(40.0, 5.0, 0.0)[None], artery, step_s=STEP_S)
        assert flow[0] == pytest.approx(early[0], rel=0.02)
        assert tmax_s[0] < 0.5


def test_frequencies_are_the_truncated_svd_of_the_circulant_matrix() -> None:
    """The oracle: the matrix itself, its SVD, and singular values under the bound left out."""
    curves = np.stack([tissue(40.0, 5.0, 1.0), tissue(15.0, 9.0, 4.0)])
    found = impulse_response(curves, ARTERY, step_s=STEP_S, truncation=TRUNCATION)
    length = found.shape[1]
    padded = np.pad(ARTERY, (0, length - len(ARTERY)))
    circulant = STEP_S * np.stack([np.roll(padded, shift) for shift in range(length)], axis=1)
    left, values, right = np.linalg.svd(circulant)
    inverse = np.where(values > TRUNCATION * values[0], 1 / np.maximum(values, 1e-12), 0.0)
    wide = np.pad(curves, ((0, 0), (0, length - curves.shape[1])))
    expected = (right.T * inverse) @ left.T @ wide.T
    np.testing.assert_allclose(found, expected.T, atol=1e-10)


def test_units_are_linear_in_the_tissue_and_inverse_in_the_artery() -> None:
    curve = tissue(40.0, 5.0, 1.0)[None]
    plain, doubled, halved = (
        perfusion_of(*pair, step_s=STEP_S) for pair in ((curve, ARTERY), (2 * curve, ARTERY), (curve, 2 * ARTERY))
    )
    for k in (0, 1):
        np.testing.assert_allclose([doubled[k][0], halved[k][0]], [2 * plain[k][0], plain[k][0] / 2])
    np.testing.assert_allclose([doubled[2], halved[2]], [plain[2], plain[2]])


GEOMETRY = Geometry.regular((3, 36, 36), (5.0, 2.0, 2.0))
BRAIN = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
BRAIN[:, 2:34, 2:34] = True
LEFT = (slice(None), slice(8, 30), slice(20, 32))
RIGHT = (slice(None), slice(8, 30), slice(8, 16))
TIMES_S = np.r_[np.arange(0, 36, 1.5), np.arange(36, 59, 3.0)]
"""As scanners change their rhythm after the first pass."""


def scan(noise_hu: float = 0.0, *, artery_hu: float = 400.0, times_s: Float64Array = TIMES_S) -> DynamicScan:
    """Return tissue of 40 (right) and, slow and late, 10 ml/100 g/min (left), two arteries and a vein."""
    every = np.arange(0, SPAN_S, STEP_S)
    share = artery_hu / 400.0
    volume = np.zeros((len(every), *GEOMETRY.shape_zyx), dtype=np.float32)
    volume[:, BRAIN] = share * tissue(40.0, 6.0, 1.0)[:, None]
    volume[(slice(None), *LEFT)] = share * tissue(10.0, 12.0, 6.0)[:, None, None, None]
    volume[:, :, 4:7, 16:20] = gamma_variate(every, peak_hu=artery_hu)[:, None, None, None]
    fine = np.arange(0, SPAN_S, FINE_S)
    spread = np.convolve(gamma_variate(fine, peak_hu=artery_hu), np.exp(-fine / 3.0))[: len(fine)] * FINE_S / 3.0
    vein = np.interp(every - 4.0, fine, spread, left=0.0)
    volume[:, :, 31:34, 16:20] = vein[:, None, None, None]
    random = np.random.Generator(np.random.Philox(4))

    def frame(index: int) -> Float32Array:
        place = int(np.searchsorted(every, times_s[index], side="right")) - 1
        part = times_s[index] - every[place]
        after = volume[min(place + 1, len(volume) - 1)]
        noise = random.normal(0, noise_hu, GEOMETRY.shape_zyx)
        return np.asarray(35 + volume[place] * (1 - part) + after * part + noise, dtype=np.float32)

    return DynamicScan(frame, GEOMETRY, times_s)


def solved(dynamic: DynamicScan) -> Deconvolved:
    frames = gather(dynamic)
    assert frames.geometry.shape_zyx == GEOMETRY.shape_zyx
    return deconvolve(frames, BRAIN)


@pytest.mark.parametrize(("noise_hu", "tolerance"), [(0.0, 0.06), (4.0, 0.30)])
def test_a_small_patient(noise_hu: float, tolerance: float) -> None:
    """Flow is that of the true curves and artery; noise raises the low one, as a maximum is chosen."""
    found = solved(scan(noise_hu))
    inner = (slice(None), slice(14, 24), slice(24, 28)), (slice(None), slice(14, 24), slice(10, 14))
    for place, cbf, mtt_s, delay_s in ((inner[0], 10.0, 12.0, 6.0), (inner[1], 40.0, 6.0, 1.0)):
        true_flow, true_volume, true_tmax_s = perfusion_of(tissue(cbf, mtt_s, delay_s)[None], ARTERY, step_s=STEP_S)
        assert np.median(found.cbf[place]) == pytest.approx(true_flow[0], rel=tolerance)
        assert np.median(found.cbv[place]) == pytest.approx(true_volume[0], rel=tolerance)
        assert np.median(found.tmax_s[place]) == pytest.approx(true_tmax_s[0], abs=0.8)
    np.testing.assert_allclose(60 * found.cbv[BRAIN], (found.mtt_s * found.cbf)[BRAIN], rtol=1e-3, atol=1e-4)
    assert (found.cbf[~BRAIN] == 0).all()
    assert found.flags == ()


def test_vessels_are_found_where_they_are() -> None:
    found = solved(scan(4.0))
    assert found.vein is not None
    assert found.artery.voxels[:, 1].max() <= 8
    assert found.vein.voxels[:, 1].min() >= 29
    assert found.artery.curve_hu.argmax() < found.vein.curve_hu.argmax()
    assert found.arterial_scale == pytest.approx(1.0, abs=0.15)


def test_the_bolus_divides_the_frames() -> None:
    before, count = baseline(gather(scan()))
    assert 6 <= TIMES_S[count] <= 9  # it starts at 8 s
    np.testing.assert_allclose(before[BRAIN], 35.0, atol=0.5)


def test_a_cut_off_bolus_is_told() -> None:
    flags = solved(scan(times_s=np.arange(0, 21, 1.0))).flags
    assert "bolus_cut_off" in {flag.code for flag in flags}


def test_without_a_bolus_there_is_no_perfusion() -> None:
    with pytest.raises(StepFailed, match="no bolus"):
        solved(scan(2.0, artery_hu=5.0))
    with pytest.raises(StepFailed, match="frames"):
        gather(scan(times_s=np.arange(0, 6, 1.0)))
    with pytest.raises(StepFailed, match="does not overlap"):
        deconvolve(gather(scan()), np.zeros_like(BRAIN))
    with pytest.raises(ValueError, match="rise"):
        DynamicScan(scan().frame, GEOMETRY, np.zeros(9))
