import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from infarct.export.montage import COLOURS, FIELD_MM_YX, PIXEL_MM, SLICES, strip, write_page
from infarct.types import BoolArray
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((20, 110, 100), (5.0, 2.0, 2.0))


def picture(**masks: BoolArray) -> np.ndarray:
    """Return the strip of a grey brain as (rows, columns, 3)."""
    brain = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    brain[2:18, 20:90, 20:80] = True
    truth = {name: np.zeros_like(brain) for name in COLOURS} | {"intracranial": brain} | masks
    hu = np.where(brain, 40.0, -1000.0).astype(np.float32)
    return np.asarray(Image.open(io.BytesIO(strip(hu, GEOMETRY, truth))).convert("RGB"))


def found(image: np.ndarray, name: str) -> np.ndarray:
    return (image == COLOURS[name]).all(axis=2)


def test_six_slices_side_by_side() -> None:
    image = picture()
    rows, columns = (round(length / PIXEL_MM) for length in FIELD_MM_YX)
    assert image.shape == (rows, SLICES * columns, 3)
    middle = image[rows // 2, columns // 2 :: columns]
    assert (np.abs(middle.astype(int) - 127) <= 4).all()
    assert (image[0] == 0).all()


def test_the_truth_is_outlined_where_it_is() -> None:
    """A box on the patient's left, which is on the right of the picture, in slices 9 and 10."""
    lesion = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    lesion[9:11, 30:50, 55:75] = True
    outline = found(picture(infarct=lesion), "infarct")
    columns = outline.shape[1] // SLICES
    shown = [outline[:, k * columns : (k + 1) * columns] for k in range(SLICES)]
    hit = [part for part in shown if part.any()]
    assert len(hit) == 1
    places = np.argwhere(hit[0])
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    assert (right - left + 1) * PIXEL_MM == 40 - 1
    assert (bottom - top + 1) * PIXEL_MM == 40 - 1
    assert left > columns / 2
    assert not hit[0][(top + bottom) // 2, (left + right) // 2]


def test_each_kind_has_its_colour() -> None:
    masks = {}
    for number, name in enumerate(COLOURS):
        masks[name] = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
        masks[name][:, 25 + 20 * number : 35 + 20 * number, 40:60] = True
    image = picture(**masks)
    assert all(found(image, name).any() for name in COLOURS)


def test_same_scan_same_bytes_and_small() -> None:
    brain = np.ones(GEOMETRY.shape_zyx, dtype=bool)
    hu = np.random.default_rng(1).normal(35, 5, GEOMETRY.shape_zyx).astype(np.float32)
    truth = {name: np.zeros_like(brain) for name in COLOURS} | {"intracranial": brain}
    first, second = strip(hu, GEOMETRY, truth), strip(hu, GEOMETRY, truth)
    assert first == second
    assert len(first) < 80_000


def test_page_holds_captions_and_pictures_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    page = tmp_path / "index.html"
    write_page(page, "A <title>", "Research.", iter([("sub-1: 3 < 4", [tmp_path / "a.png"]), ("sub-2", [])]))
    text = page.read_text()
    assert "A &lt;title&gt;" in text
    assert "sub-1: 3 &lt; 4" in text
    assert re.findall(r'(?:src|href)="([a-z]+)', text) == ["data"]
    assert text.count("<figure>") == text.count("</figure>") == 2
