"""Pictures of a cohort: six slices a scan with the truth outlined, and one page of all patients."""

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry

SLICES: Final = 6
FIELD_MM_YX: Final = (210.0, 168.0)
PIXEL_MM: Final = 1.5
SLAB_MM: Final = 5.0
"""Thin slices are averaged to about this thickness: one of them is mostly noise."""
WINDOW_HU: Final = (0.0, 80.0)
GREY_LEVELS: Final = 40
COLOURS: Final = {"infarct": (255, 122, 46), "hemorrhage": (240, 228, 66), "old_infarct": (47, 214, 166)}
"""Outlines; those of Okabe and Ito, lightened for a black background."""
NAMES: Final = {"infarct": "infarct", "hemorrhage": "blood", "old_infarct": "old infarct"}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ background: #000; color: #ddd; font: 14px/1.4 sans-serif; margin: 1rem; }}
h1 {{ font-size: 1.2rem; }}
figure {{ margin: 0 0 1rem; }}
figcaption {{ margin-bottom: .2rem; }}
img {{ max-width: 100%; height: auto; }}
</style></head><body>
<h1>{title}</h1>
<p>{intended} The patient's right is on the left; window {low:.0f} to {high:.0f} HU. Outlines: {legend}.</p>
"""


def strip(hu: Float32Array, geometry: Geometry, truth: dict[str, BoolArray]) -> bytes:
    """Return a PNG of slices side by side, from below upwards, the masks in ``truth`` outlined (keys of `COLOURS`).

    ``truth["intracranial"]`` decides which slices and what part of them are shown.
    """
    brain = truth["intracranial"]
    levels = _levels(brain, truth["infarct"] if truth["infarct"].any() else truth["hemorrhage"])
    pictures = [_picture(hu, geometry, truth, k, _centre(brain)) for k in levels]
    image = Image.fromarray(np.concatenate(pictures, axis=1))
    stream = io.BytesIO()
    colours = GREY_LEVELS + len(COLOURS)
    image.quantize(colours, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def write_page(path: Path, title: str, intended: str, patients: Iterable[tuple[str, list[Path]]]) -> None:
    """Write one page without links: a caption and the pictures of each patient; they are read one by one."""
    legend = ", ".join(
        f'<span style="color: rgb{colour}">{html.escape(NAMES[name])}</span>' for name, colour in COLOURS.items()
    )
    low, high = WINDOW_HU
    with path.open("w", encoding="utf-8") as page:
        head = {"title": html.escape(title), "intended": html.escape(intended)}
        page.write(_PAGE.format(**head, legend=legend, low=low, high=high))
        for caption, pictures in patients:
            page.write(f"<figure><figcaption>{html.escape(caption)}</figcaption>\n")
            for picture in pictures:
                text = base64.b64encode(picture.read_bytes()).decode("ascii")
                page.write(f'<img alt="{html.escape(picture.stem)}" src="data:image/png;base64,{text}"><br>\n')
            page.write("</figure>\n")
        page.write("</body></html>\n")


def _levels(brain: BoolArray, lesion: BoolArray) -> list[int]:
    """Return `SLICES` slices, evenly through the brain; the one nearest to the fullest of the lesion is that one."""
    area = brain.sum(axis=(1, 2))
    large = np.flatnonzero(area > 0.35 * area.max())
    places = np.linspace(0.04, 0.96, SLICES) * (len(large) - 1)
    levels = [int(large[round(float(place))]) for place in places]
    if lesion.any():
        fullest = int(lesion.sum(axis=(1, 2)).argmax())
        levels[int(np.argmin(np.abs(np.array(levels) - fullest)))] = fullest
    return levels


def _centre(brain: BoolArray) -> tuple[float, float]:
    rows, columns = np.nonzero(brain.any(axis=0))
    return (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2


def _picture(
    hu: Float32Array, geometry: Geometry, truth: dict[str, BoolArray], k: int, centre: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Return one slice as RGB, uint8 (rows, columns, 3)."""
    position = geometry.slice_positions_mm
    near = np.abs(position - position[k]) < SLAB_MM / 2
    low, high = WINDOW_HU
    plane = np.clip((hu[near].mean(axis=0) - low) / (high - low), 0, 1)
    grey = np.round(_resized(plane, geometry, centre) * (GREY_LEVELS - 1)) * (255 / (GREY_LEVELS - 1))
    picture = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    for name, colour in reversed(COLOURS.items()):  # the infarct's outline is drawn last
        part = _resized(truth[name][k].astype(np.float64), geometry, centre) > 0.5
        picture[part & ~ndimage.binary_erosion(part)] = colour
    return picture


def _resized(plane: npt.NDArray[np.floating], geometry: Geometry, centre: tuple[float, float]) -> Float32Array:
    """Return the field around ``centre`` of a slice (y, x) at `PIXEL_MM`, averaged over pixels; 0 beyond its edge."""
    sizes = [round(length / PIXEL_MM) for length in FIELD_MM_YX]
    box = []
    for middle, length, spacing in zip(centre, FIELD_MM_YX, geometry.pixel_spacing_mm_yx, strict=True):
        half = length / spacing / 2
        box.append((middle + 0.5 - half, middle + 0.5 + half))
    margin = [int(max(0, -low, high - count) + 1) for (low, high), count in zip(box, plane.shape, strict=True)]
    padded = np.pad(plane.astype(np.float32), [(m, m) for m in margin])
    (top, bottom), (left, right) = ((low + m, high + m) for (low, high), m in zip(box, margin, strict=True))
    picture = Image.fromarray(padded).resize((sizes[1], sizes[0]), Image.Resampling.BOX, (left, top, right, bottom))
    return np.asarray(picture, dtype=np.float32)
