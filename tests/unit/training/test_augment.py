"""Patches moved and changed: what stays, what follows, and where voxels go."""

from dataclasses import replace

import numpy as np
import pytest
from prepared_blobs import SPACING_MM, blob_case, stored

from infarct.training.augment import Motion, augmented, cut, moved
from infarct.training.recipe import Augmentation
from infarct.types import Float64Array

START, SIZE = (1, 4, 3), (6, 16, 14)


def shifted(matrix: Float64Array, centre: tuple[float, float, float], mirror: tuple[float, float, float]) -> Motion:
    return Motion(matrix, np.array(centre), matrix, np.array(mirror))


def middle(start: tuple[int, int, int] = START) -> tuple[float, float, float]:
    z, y, x = (first + (size - 1) / 2 for first, size in zip(start, SIZE, strict=True))
    return z, y, x


def test_no_augmentation_is_the_patch_itself() -> None:
    case = blob_case(0, lesion=True)
    patch = augmented(case, START, SIZE, Augmentation(), np.random.default_rng(0))
    box = tuple(slice(first, first + size) for first, size in zip(START, SIZE, strict=True))
    np.testing.assert_array_equal(patch.channels, case.channels[:, *box].astype(np.float32))
    np.testing.assert_array_equal(patch.labels, case.labels[box])


def test_a_motion_that_does_not_move_is_the_patch_itself() -> None:
    case = blob_case(0, lesion=True)
    plain = cut(case, START, SIZE)
    patch = moved(case, SIZE, shifted(np.eye(3), middle(), middle()))
    np.testing.assert_allclose(patch.channels, plain.channels, atol=1e-4)
    np.testing.assert_array_equal(patch.labels, plain.labels)


def test_a_shift_by_whole_voxels_moves_scan_and_labels_and_mirror_by_its_own() -> None:
    case = blob_case(1, lesion=True)
    patch = moved(case, SIZE, shifted(np.eye(3), middle((2, 4, 3)), middle((1, 5, 3))))
    np.testing.assert_allclose(patch.channels[0], cut(case, (2, 4, 3), SIZE).channels[0], atol=1e-4)
    np.testing.assert_array_equal(patch.labels, cut(case, (2, 4, 3), SIZE).labels)
    np.testing.assert_allclose(patch.channels[1], cut(case, (1, 5, 3), SIZE).channels[1], atol=1e-4)


def test_a_quarter_turn_in_plane() -> None:
    case = blob_case(2, lesion=True, shape=(4, 12, 12))
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    centre = (1.5, 5.5, 5.5)
    patch = moved(case, (4, 12, 12), shifted(turn, centre, centre))
    np.testing.assert_allclose(patch.channels, np.rot90(case.channels, -1, axes=(2, 3)), atol=1e-3)
    np.testing.assert_array_equal(patch.labels, np.rot90(case.labels, -1, axes=(1, 2)))


def test_a_tilt_follows_the_spacing() -> None:
    """Values rise by 1 each mm along z and along y. Turned by 45 degrees they rise by the root of 2 along z alone."""
    shape = (21, 41, 3)
    z, y, _ = np.meshgrid(*(np.arange(size) - size // 2 for size in shape), indexing="ij")
    ramp = (5.0 * z + 2.0 * y)[None].astype(np.float32)
    case = stored(ramp, np.ones(shape, np.uint8))
    setting = Augmentation(tilt_deg=45.0)

    class Fixed:
        """Draws that turn by the whole angle about x, and nothing else."""

        def uniform(self, *bounds_and_count: int) -> object:
            return np.array([0.0, 0.0, 1.0])[: bounds_and_count[2]] if len(bounds_and_count) > 2 else 0.0

        def random(self) -> float:
            return 1.0

    patch = augmented(case, (8, 15, 0), (5, 11, 3), setting, Fixed())  # type: ignore[arg-type]
    values = patch.channels[0, :, :, 1]
    np.testing.assert_allclose(np.diff(values, axis=0), 5 * np.sqrt(2), atol=1e-3)
    np.testing.assert_allclose(np.diff(values, axis=1), 0, atol=1e-3)


def test_a_flip_turns_scan_mirror_and_labels() -> None:
    case = blob_case(3, lesion=True)
    plain = cut(case, START, SIZE)
    flipped = augmented(case, START, SIZE, Augmentation(flip_chance=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(flipped.channels, plain.channels[..., ::-1])
    np.testing.assert_array_equal(flipped.labels, plain.labels[..., ::-1])


def test_only_the_mirror_is_jittered() -> None:
    case = blob_case(4, lesion=True)
    setting = Augmentation(mirror_shift_mm=4.0, mirror_rotation_deg=3.0)
    patch = augmented(case, START, SIZE, setting, np.random.default_rng(1))
    plain = cut(case, START, SIZE)
    np.testing.assert_allclose(patch.channels[0], plain.channels[0], atol=1e-4)
    np.testing.assert_array_equal(patch.labels, plain.labels)
    assert np.abs(patch.channels[1] - plain.channels[1]).max() > 0.1


def test_a_lesion_keeps_its_volume_about() -> None:
    case = blob_case(5, lesion=True, shape=(12, 40, 36))
    setting = Augmentation(rotation_deg=6.0, tilt_deg=3.0, shift_mm=2.0)
    random = np.random.default_rng(2)
    sizes = [(augmented(case, (0, 0, 0), (12, 40, 36), setting, random).labels == 2).sum() for _ in range(20)]
    assert np.mean(sizes) == pytest.approx((case.labels == 2).sum(), rel=0.03)


def test_beyond_the_case_lies_its_border_without_labels() -> None:
    case = stored(np.full((2, 6, 8, 8), 3.0, np.float32), np.full((6, 8, 8), 2, np.uint8))
    patch = moved(case, (4, 8, 8), shifted(np.eye(3), (1.5, 6.5, 3.5), (1.5, 3.5, 3.5)))
    np.testing.assert_allclose(patch.channels, 3.0, atol=1e-4)
    assert (patch.labels[:, :5] == 2).all()
    assert not patch.labels[:, 5:].any()


def test_a_case_smaller_than_the_patch_is_padded_with_zeros_moved_or_not() -> None:
    case = blob_case(6, lesion=True, shape=(4, 12, 10))
    size = (6, 12, 14)
    plain = cut(case, (-1, 0, -2), size)
    still = moved(case, size, shifted(np.eye(3), (1.5, 5.5, 4.5), (1.5, 5.5, 4.5)))
    np.testing.assert_allclose(still.channels, plain.channels, atol=1e-4)
    np.testing.assert_array_equal(still.labels, plain.labels)
    assert not plain.channels[:, 0].any()


def test_contrast_and_level_are_the_same_for_both_channels() -> None:
    case = blob_case(7, lesion=False)
    patch = augmented(case, START, SIZE, Augmentation(contrast=0.2, offset=0.3), np.random.default_rng(3))
    plain = cut(case, START, SIZE)
    slope, level = np.polyfit(plain.channels.ravel(), patch.channels.ravel(), 1)
    assert 0.8 <= slope <= 1.2
    assert slope != 1
    assert -0.3 <= level <= 0.3
    np.testing.assert_allclose(patch.channels, slope * plain.channels + level, atol=1e-4)


def test_added_noise_has_the_correlation_of_resampled_scans() -> None:
    case = stored(np.zeros((1, 8, 64, 64), np.float32), np.ones((8, 64, 64), np.uint8))
    random = np.random.default_rng(4)
    setting = Augmentation(noise_sd=0.5)
    fields = [augmented(case, (0, 0, 0), (8, 64, 64), setting, random).channels[0] for _ in range(30)]
    deviations = np.array([field.std() for field in fields])
    assert deviations.max() < 0.51
    assert deviations.mean() == pytest.approx(0.25, abs=0.08)
    noise = max(fields, key=lambda field: float(field.std()))
    one = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    two = np.corrcoef(noise[:, 2:].ravel(), noise[:, :-2].ravel())[0, 1]
    assert one == pytest.approx(0.45, abs=0.02)
    assert two == pytest.approx(0.06, abs=0.02)


def test_the_same_draws_give_the_same_patch() -> None:
    case = blob_case(8, lesion=True)
    setting = replace(Augmentation(), rotation_deg=5.0, noise_sd=0.1, mirror_shift_mm=2.0, flip_chance=0.5)
    a, b = (augmented(case, START, SIZE, setting, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.channels, b.channels)
    assert case.spacing_mm_zyx == SPACING_MM
