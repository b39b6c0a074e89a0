from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic_ct import Series, datasets, fake_head, write

from infarct.cohorts.aisd import assumed_hu, find, read
from infarct.errors import Refusal
from infarct.types import Float32Array
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion, old_lesion


def labels() -> Any:
    """Return masks with every label: 1 remote where the old lesion is; 2, 3 and 5 side by side; 4 invisible apart."""
    values = old_lesion().astype(np.uint8)
    values[lesion()] = 2
    values[3][lesion()[3]] = 3
    values[4][lesion()[4]] = 5
    values[6, 50:54, 20:24] = 4
    return values


def grey(hu: Float32Array) -> Any:
    return np.round(np.clip(hu, 0, 80) / 80 * 255).astype(np.uint8)


def aisd(
    root: Path, name: str = "0073410", *, names: tuple[str, str] = ("image", "mask"), downwards: bool = False
) -> Path:
    step = -1 if downwards else 1
    for kind, stack in zip(names, (grey(fake_head()), labels()), strict=True):
        (root / kind / name).mkdir(parents=True)
        for k, plane in enumerate(stack[::step]):
            Image.fromarray(plane).save(root / kind / name / f"{k}.png")  # 10.png comes after 9.png
    return root


@pytest.mark.parametrize("names", [("image", "mask"), ("images", "masks"), ("image/image", "mask/mask")])
def test_pictures_and_masks_are_found(tmp_path: Path, names: tuple[str, str]) -> None:
    assert find(aisd(tmp_path, names=names)) == tmp_path
    (case,) = read(tmp_path).cases
    assert (case.id, case.target) == ("0073410", "acute")


def test_acute_labels_are_the_lesion_and_remote_ones_old(tmp_path: Path) -> None:
    loaded = read(aisd(tmp_path)).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())
    np.testing.assert_array_equal(loaded.old, old_lesion())
    assert loaded.hemorrhage is None


def test_pictures_alone_are_flagged_through_and_through(tmp_path: Path) -> None:
    scan = read(aisd(tmp_path)).cases[0].load().scan
    flags = {flag.code: flag for flag in scan.flags}
    assert flags["hu_from_picture"].severity == flags["orientation_unknown"].severity == "critical"
    assert "assumed (0 to 80 HU)" in flags["hu_from_picture"].message
    assert scan.geometry.spacing_mm_zyx == pytest.approx((5.0, 230 / 64, 230 / 64))


def test_grey_values_become_hu_between_bone_and_air() -> None:
    """Black inside the head is fluid or less, black that reaches the edge is air, white is at least 80 HU: bone."""
    picture = np.zeros((1, 5, 5), dtype=np.uint8)
    picture[0, 1:4, 1:4] = 255
    picture[0, 2, 2] = 0
    picture[0, 1, 2] = 51
    expected = np.full((5, 5), -1000.0)
    expected[1:4, 1:4] = 1000.0
    expected[2, 2], expected[1, 2] = 0.0, 16.0  # 51 / 255 of 80 HU
    np.testing.assert_allclose(assumed_hu(picture)[0], expected, atol=1e-4)


@pytest.mark.parametrize("downwards", [True, False])
def test_pictures_are_put_with_the_vertex_on_top(tmp_path: Path, downwards: bool) -> None:
    loaded = read(aisd(tmp_path, downwards=downwards)).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())


@pytest.mark.parametrize("downwards", [True, False])
@pytest.mark.parametrize("place", ["dicom/0073410", "dicom-1/0073410/CT"])
def test_dicom_beside_gives_real_hu_and_decides_the_order(tmp_path: Path, downwards: bool, place: str) -> None:
    aisd(tmp_path, downwards=downwards)
    write(tmp_path / place, datasets(Series()))
    loaded = read(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())
    assert loaded.scan.flags == ()
    np.testing.assert_allclose(loaded.scan.geometry.origins_mm, GEOMETRY.origins_mm)


def test_dicom_rows_stored_the_other_way_turn_the_masks_with_them(tmp_path: Path) -> None:
    """The pictures show the stored rows; here these run from the back of the head to the front."""
    aisd(tmp_path)
    for path in tmp_path.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path))[::-1]).save(path)
    origins = np.stack([[-63.0, 71.0, 5.0 * k] for k in range(12)])
    series = Series(hu=fake_head()[:, ::-1], positions=origins, orientation=(1, 0, 0, 0, -1, 0))
    write(tmp_path / "dicom" / "0073410", datasets(series))
    loaded = read(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())


def test_a_series_that_shows_something_else_is_not_used(tmp_path: Path) -> None:
    aisd(tmp_path)
    write(tmp_path / "dicom" / "0073410", datasets(Series(hu=np.roll(fake_head(), 12, axis=1))))
    flags = {flag.code: flag.message for flag in read(tmp_path).cases[0].load().scan.flags}
    assert "does not show the same slices" in flags["hu_from_picture"]


def test_a_series_that_cannot_be_read_is_not_used(tmp_path: Path) -> None:
    aisd(tmp_path)
    write(tmp_path / "dicom" / "0073410", datasets(Series())[:3])
    assert "hu_from_picture" in {flag.code for flag in read(tmp_path).cases[0].load().scan.flags}


def test_palettes_and_grey_colours_are_read(tmp_path: Path) -> None:
    """A mask with a palette means its entries; a picture may be saved as RGB."""
    aisd(tmp_path)
    for path in (tmp_path / "mask").rglob("*.png"):
        image = Image.fromarray(np.asarray(Image.open(path)), mode="P")
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 255, 255, 0])
        image.save(path)
    for path in (tmp_path / "image").rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    loaded = read(tmp_path).cases[0].load()
    np.testing.assert_array_equal(loaded.lesion, lesion())


def broken(root: Path, kind: str, image: Any) -> None:
    Image.fromarray(image).save(root / kind / "0073410" / "3.png")


@pytest.mark.parametrize(
    ("kind", "image", "words"),
    [
        ("mask", np.full((72, 64), 6, dtype=np.uint8), "other labels than 0 to 5"),
        ("mask", np.zeros((70, 64), dtype=np.uint8), "differ in size"),
        ("image", np.dstack([np.full((72, 64), v, dtype=np.uint8) for v in (1, 2, 3)]), "coloured"),
        ("image", np.full((72, 64), 3000, dtype=np.uint16), "more than 8 bits"),
    ],
)
def test_pictures_that_make_no_sense_are_refused(tmp_path: Path, kind: str, image: Any, words: str) -> None:
    aisd(tmp_path)
    broken(tmp_path, kind, image)
    with pytest.raises(Refusal, match=words):
        read(tmp_path).cases[0].load()


def test_a_damaged_picture_is_refused(tmp_path: Path) -> None:
    aisd(tmp_path)
    (tmp_path / "image" / "0073410" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Refusal, match="cannot be read"):
        read(tmp_path).cases[0].load()


def test_a_picture_without_its_mask_is_unknown_and_leaves_the_case_out(tmp_path: Path) -> None:
    aisd(tmp_path)
    aisd(tmp_path, "0073412")
    (tmp_path / "mask" / "0073412" / "11.png").unlink()
    cohort = read(tmp_path)
    assert [case.id for case in cohort.cases] == ["0073410"]
    assert cohort.left_out == (("0073412", "there are 12 pictures and 11 masks, not one mask a picture"),)
