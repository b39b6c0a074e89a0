"""Each flag is raised by a scan or head made for it, and by no clean one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import infarct.pipeline
from infarct.anatomy import region_label
from infarct.errors import StepFailed
from infarct.preprocess.head import Head, mirrored_mask
from infarct.preprocess.intracranial import segment_intracranial, segment_open_skull
from infarct.preprocess.midplane import Midplane, mirrored
from infarct.preprocess.noise import Noise
from infarct.preprocess.quality import BLOOD_ML, head_flags, hyperdense_mask, scan_flags, unique_flags
from infarct.types import Flag
from infarct.volume import Acquisition, Geometry, Scan, volume_ml
from plain_head import PlainPatient


def codes(flags: tuple[Flag, ...]) -> list[str]:
    return [flag.code for flag in flags]


def small_scan(positions_mm: tuple[float, ...], *, lean: float = 0.0, **acquisition: object) -> Scan:
    z = np.array(positions_mm)
    origins = np.stack([np.zeros(len(z)), lean * z, z], axis=1)
    geometry = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (4, 4))
    return Scan(np.zeros(geometry.shape_zyx, dtype=np.float32), geometry, Acquisition(**acquisition))


EVEN = (0.0, 5.0, 10.0, 15.0)


def test_a_plain_even_scan_raises_none() -> None:
    assert scan_flags(small_scan(EVEN, patient_age_years=70, contrast_agent=False)) == ()


def test_slice_spacing_large() -> None:
    (flag,) = scan_flags(small_scan((0.0, 6.5, 13.0)))
    assert (flag.code, flag.value) == ("slice_spacing_large", pytest.approx(6.5))
    assert scan_flags(small_scan((0.0, 6.0, 12.0))) == ()


def test_slice_spacing_uneven() -> None:
    (flag,) = scan_flags(small_scan((0.0, 4.0, 8.0, 13.0)))
    assert flag.code == "slice_spacing_uneven"
    assert flag.severity == "warning"
    assert scan_flags(small_scan((0.0, 5.0, 10.02, 15.0))) == ()
    assert codes(scan_flags(small_scan((0.0, 4.0, 8.0, 15.0)))) == ["slice_spacing_large", "slice_spacing_uneven"]


def test_gantry_tilt() -> None:
    (flag,) = scan_flags(small_scan(EVEN, lean=np.tan(np.radians(18.5))))
    assert (flag.code, flag.severity) == ("gantry_tilt", "info")
    assert flag.value == pytest.approx(18.5)
    assert scan_flags(small_scan(EVEN, lean=np.tan(np.radians(0.5)))) == ()


@pytest.mark.parametrize(("age", "expected"), [(0, True), (17, True), (18, False), (None, False)])
def test_age_under_18(age: int | None, expected: bool) -> None:
    assert codes(scan_flags(small_scan(EVEN, patient_age_years=age))) == ["age_under_18"] * expected


def test_the_readers_flags_come_first() -> None:
    mine = Flag("contrast_suspected", "warning", "A file says so.")
    assert codes(scan_flags(small_scan(EVEN, patient_age_years=3).with_flags(mine))) == [mine.code, "age_under_18"]


def test_unique_flags_puts_the_gravest_first_and_keeps_it() -> None:
    told, doubt, stop = (Flag("one", severity, severity) for severity in ("info", "warning", "critical"))
    other, last = Flag("two", "warning", "Two."), Flag("three", "critical", "Three.")
    assert unique_flags((told, other, last)) == (last, other, told)
    assert unique_flags((doubt, other, stop)) == (stop, other)
    assert unique_flags((stop, other, doubt)) == (stop, other)
    assert unique_flags(()) == ()


def test_clean_patients_raise_none(
    healthy_patient: PlainPatient, healthy_head: Head, left_patient: PlainPatient, left_head: Head
) -> None:
    for patient, head in ((healthy_patient, healthy_head), (left_patient, left_head)):
        assert scan_flags(patient.scan) == ()
        assert head_flags(patient.scan, head) == ()
        assert volume_ml(hyperdense_mask(head), head.geometry) < BLOOD_ML


def test_coverage_incomplete(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    head = replace(healthy_head, registration=replace(healthy_head.registration, covered_share=0.9))
    (flag,) = head_flags(healthy_patient.scan, head)
    assert (flag.code, flag.value) == ("coverage_incomplete", pytest.approx(90))


def test_registration_poor(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    head = replace(healthy_head, registration=replace(healthy_head.registration, is_reliable=False))
    (flag,) = head_flags(healthy_patient.scan, head)
    assert (flag.code, flag.severity) == ("registration_poor", "critical")


@pytest.mark.parametrize(
    ("degrees", "shift_mm", "raised"), [(7.0, 0.0, True), (0.0, 8.0, True), (0.0, -8.0, True), (2.0, 2.0, False)]
)
def test_midline_uncertain(
    healthy_patient: PlainPatient, healthy_head: Head, degrees: float, shift_mm: float, raised: bool
) -> None:
    plane = healthy_head.midplane
    centre = healthy_head.geometry.index_to_world(np.argwhere(healthy_head.brain).mean(axis=0))
    normal = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ plane.normal
    offset = float(normal @ (centre - (plane.normal @ centre - plane.offset_mm) * plane.normal)) + shift_mm
    flags = head_flags(healthy_patient.scan, replace(healthy_head, midplane=Midplane(normal, offset)))
    assert codes(flags) == ["midline_uncertain"] * raised
    if raised and shift_mm:
        assert "mm" in flags[0].message  # the distance is what is wrong, so the message has to tell it


def test_noise_high(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    (flag,) = head_flags(healthy_patient.scan, replace(healthy_head, noise=Noise(6.2, 9.0)))
    assert (flag.code, flag.value) == ("noise_high", pytest.approx(6.2))


def test_motion_or_streaks(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    rows = np.arange(healthy_head.hu.shape[1], dtype=np.float32)[:, None]
    hu = healthy_head.hu.copy()
    levels = np.flatnonzero(healthy_head.brain.sum(axis=(1, 2)) > 8000)
    hu[levels[3:9]] += 12 * np.sin(2 * np.pi * rows / 5)
    assert codes(head_flags(healthy_patient.scan, replace(healthy_head, hu=hu))) == ["motion_or_streaks"]


def test_noise_in_all_slices_is_no_streak(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    noise = np.random.default_rng(0).normal(0, 6, healthy_head.hu.shape).astype(np.float32)
    assert head_flags(healthy_patient.scan, replace(healthy_head, hu=healthy_head.hu + noise)) == ()


def test_metal(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    hu = healthy_patient.scan.hu.copy()
    hu[20, 100:105, 100:104] = 3000  # 20 voxels of 5 mm3
    scan = replace(healthy_patient.scan, hu=hu)
    (flag,) = head_flags(scan, healthy_head)
    assert (flag.code, flag.value) == ("metal", pytest.approx(0.1))
    hu[20, 101:105] = 1000  # bone, and little else
    hu[20, 102, 100:104] = 1500
    assert head_flags(replace(healthy_patient.scan, hu=hu), healthy_head) == ()


def world(head: Head) -> np.ndarray:
    return head.geometry.index_to_world(np.indices(head.geometry.shape_zyx).transpose(1, 2, 3, 0))


def place(head: Head, side: str = "left") -> np.ndarray:
    """A point deep in one hemisphere: the middle of the M5 region, somewhat inwards."""
    m5 = world(head)[head.aspects_regions == region_label("M5", side)].mean(axis=0)  # type: ignore[arg-type]
    inwards = head.midplane.normal * (-10 if side == "left" else 10)
    return m5 + inwards


def ball(head: Head, size_ml: float, side: str = "left") -> np.ndarray:
    radius = (size_ml * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    return np.linalg.norm(world(head) - place(head, side), axis=-1) < radius


def with_density(head: Head, where: np.ndarray, hu: float) -> Head:
    """The head with tissue of another density, its noise kept."""
    return replace(head, hu=np.where(where, head.hu + np.float32(hu - 33), head.hu).astype(np.float32))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / max(float(first.sum() + second.sum()), 1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("size_ml", "density_hu"), [(5.0, 65.0), (20.0, 60.0), (20.0, 75.0), (20.0, 85.0)])
def test_a_bleed_is_found(healthy_head: Head, side: str, size_ml: float, density_hu: float) -> None:
    blood = ball(healthy_head, size_ml, side)
    found = hyperdense_mask(with_density(healthy_head, blood, density_hu))
    assert dice(found, blood) > 0.6
    assert volume_ml(found, healthy_head.geometry) >= BLOOD_ML


def test_a_bleed_around_a_calcification_is_found(healthy_head: Head) -> None:
    """Blood in a ventricle touches the calcified choroid plexus, often."""
    blood = ball(healthy_head, 20.0)
    head = with_density(with_density(healthy_head, blood, 65.0), ball(healthy_head, 0.15), 200.0)
    assert volume_ml(hyperdense_mask(head), head.geometry) > 10


def with_both_sides_dense(head: Head, size_ml: float, hu: float) -> Head:
    """The head with a dense ball in either hemisphere, each at the mirrored place of the other."""
    one = with_density(head, ball(head, size_ml), hu)
    other = mirrored_mask(ball(head, size_ml), head.geometry, head.midplane)
    both = with_density(one, other, hu)
    return replace(both, mirrored_hu=mirrored(both.hu, head.geometry, head.midplane))


@pytest.mark.parametrize("density_hu", [60.0, 75.0])
def test_faintly_calcified_pallida_are_no_bleed(healthy_head: Head, density_hu: float) -> None:
    head = with_both_sides_dense(healthy_head, 1.5, density_hu)
    assert volume_ml(hyperdense_mask(head), head.geometry) < BLOOD_ML


def test_large_bleeds_of_both_sides_are_found(healthy_head: Head) -> None:
    head = with_both_sides_dense(healthy_head, 10.0, 65.0)
    assert volume_ml(hyperdense_mask(head), head.geometry) > 10


@pytest.mark.parametrize("size_ml", [0.2, 1.0, 2.0])
def test_a_calcification_is_no_bleed(healthy_head: Head, size_ml: float) -> None:
    head = with_density(healthy_head, ball(healthy_head, size_ml), 300.0)
    assert volume_ml(hyperdense_mask(head), head.geometry) < BLOOD_ML


def test_dense_falx_and_vessels_are_no_bleed(healthy_head: Head) -> None:
    distance = np.abs(healthy_head.midplane.distance_mm(healthy_head.geometry))
    head = with_density(healthy_head, healthy_head.brain & (distance < 3), 65.0)
    axis = np.linalg.norm((world(head) - place(head))[..., 1:], axis=-1)
    head = with_density(head, head.brain & (axis < 1.5), 60.0)  # a dense artery across the hemisphere
    assert volume_ml(hyperdense_mask(head), head.geometry) < BLOOD_ML


@pytest.mark.parametrize("density_hu", [120.0, 250.0])
def test_contrast_in_vessels(healthy_patient: PlainPatient, healthy_head: Head, density_hu: float) -> None:
    """Arteries and sinuses of 3 mm radius along the midline and through both hemispheres, 18 ml in all."""
    points = world(healthy_head) - place(healthy_head)
    distance = np.abs(healthy_head.midplane.distance_mm(healthy_head.geometry))
    sinus = (distance < 3.0) & (np.abs(points[..., 2] + 4) < 9)
    vessel = healthy_head.brain & (sinus | (np.linalg.norm(points[..., 1:], axis=-1) < 4.0))
    assert volume_ml(vessel, healthy_head.geometry) > 15
    head = with_density(healthy_head, vessel, density_hu)
    head = replace(head, brain=segment_intracranial(head.hu, head.geometry))
    assert "contrast_suspected" in codes(head_flags(healthy_patient.scan, head))


def test_skull_defect(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    (flag,) = head_flags(healthy_patient.scan, replace(healthy_head, skull_closed=False))
    assert (flag.code, flag.severity) == ("skull_defect", "critical")


@pytest.mark.parametrize("radius_mm", [25.0, 45.0])
def test_a_craniectomy(healthy_patient: PlainPatient, healthy_head: Head, radius_mm: float) -> None:
    """The bone around a point of the vault is gone."""
    outwards = place(healthy_head) + 35 * healthy_head.midplane.normal
    gone = (np.linalg.norm(world(healthy_head) - outwards, axis=-1) < radius_mm) & (healthy_head.hu > 100)
    assert gone.any()
    head = replace(healthy_head, hu=np.where(gone, np.float32(40), healthy_head.hu))
    try:
        head = replace(head, brain=segment_intracranial(head.hu, head.geometry))
    except StepFailed:
        head = replace(head, brain=segment_open_skull(head.hu, head.geometry), skull_closed=False)
    assert "skull_defect" in codes(head_flags(healthy_patient.scan, head))


def test_a_stripped_volume_has_no_skull_to_miss(healthy_patient: PlainPatient, healthy_head: Head) -> None:
    head = replace(healthy_head, hu=np.where(healthy_head.brain, healthy_head.hu, np.float32(0)))
    scan = healthy_patient.scan.with_flags(Flag("skull_stripped", "warning", "No skull."))
    assert "skull_defect" not in codes(head_flags(scan, head))
    assert "skull_defect" in codes(head_flags(healthy_patient.scan, head))


@pytest.fixture
def analyzed(healthy_head: Head, monkeypatch: pytest.MonkeyPatch):
    """Analyse a scan with the healthy head, or another one, standing for its preparation."""

    def analyze(scan: Scan, request: infarct.pipeline.Request | None = None, head: Head = healthy_head):
        monkeypatch.setattr(infarct.pipeline, "prepare_head", lambda *_: head)
        return infarct.pipeline.analyze(scan, request).findings.quality

    return analyze


def test_verdict_is_ok_with_info_only(analyzed, healthy_patient: PlainPatient) -> None:
    quality = analyzed(healthy_patient.scan)
    assert quality.verdict == "ok"
    assert codes(quality.flags) == ["onset_unknown"]
    quality = analyzed(healthy_patient.scan, infarct.pipeline.Request(onset_hours=3.0))
    assert (quality.verdict, quality.flags) == ("ok", ())


def test_verdict_is_flagged_by_a_warning_and_the_worst_comes_first(analyzed, healthy_patient: PlainPatient) -> None:
    scan = replace(healthy_patient.scan, acquisition=Acquisition(patient_age_years=5))
    scan = scan.with_flags(Flag("thick", "warning", "Thick."))
    quality = analyzed(scan)
    assert quality.verdict == "flagged"
    assert codes(quality.flags) == ["age_under_18", "thick", "onset_unknown"]


def test_onset_under_an_hour(analyzed, healthy_patient: PlainPatient) -> None:
    quality = analyzed(healthy_patient.scan, infarct.pipeline.Request(onset_hours=0.5))
    assert codes(quality.flags) == ["onset_under_1h"]
    assert quality.verdict == "flagged"


def test_each_code_stands_once(analyzed, healthy_patient: PlainPatient, healthy_head: Head) -> None:
    """Header and picture both show contrast agent."""
    points = world(healthy_head) - place(healthy_head)
    head = with_density(healthy_head, np.linalg.norm(points, axis=-1) < 14, 130.0)
    scan = healthy_patient.scan.with_flags(Flag("contrast_suspected", "critical", "The header says so."))
    assert "contrast_suspected" in codes(head_flags(scan, head))
    assert codes(analyzed(scan, head=head).flags).count("contrast_suspected") == 1
