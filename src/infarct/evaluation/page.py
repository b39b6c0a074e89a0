"""Pictures of scans, and a page of several of them, a line of text above each."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from infarct.findings import INTENDED_USE
from infarct.types import Float32Array
from infarct.volume import Scan

SLAB_MM: Final = 5.0
"""Thin slices are averaged to about this thickness for display: one of them is mostly noise."""
PANEL_PX: Final = 360
HEAD_PX: Final = 44
"""Height of the line of text above a picture."""


def slab(scan: Scan, k: int) -> Float32Array:
    """Return the mean of the slices within half of `SLAB_MM` of slice ``k``, (y, x)."""
    positions_mm = scan.geometry.slice_positions_mm
    near = np.abs(positions_mm - positions_mm[k]) < SLAB_MM / 2
    return np.asarray(scan.hu[near].mean(axis=0, dtype=np.float32))


def page_of(titled: Sequence[tuple[str, bytes]], *, legend: str) -> bytes:
    """Return a PNG page of pictures (PNG) under their lines of text; ``legend`` stands above all.

    Raises `ValueError` where there is no picture.
    """
    if not titled:
        raise ValueError("no picture to show")
    rows = [_titled(text, picture) for text, picture in titled]
    width = max(row.width for row in rows)
    page = Image.new("RGB", (width, sum(row.height for row in rows) + HEAD_PX), "black")
    _write(page, INTENDED_USE, HEAD_PX // 8)
    _write(page, legend, HEAD_PX // 2 + HEAD_PX // 8)
    top = HEAD_PX
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    stream = io.BytesIO()
    page.quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _titled(text: str, picture: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    row = Image.new("RGB", (image.width, image.height + HEAD_PX), "black")
    row.paste(image, (0, HEAD_PX))
    _write(row, text, HEAD_PX // 2)
    return row


def _write(image: Image.Image, text: str, top: int) -> None:
    ImageDraw.Draw(image).text((8, top), text, fill="white", font=ImageFont.load_default(14))
