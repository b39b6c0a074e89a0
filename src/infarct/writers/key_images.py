"""The few pictures that tell the story: both levels of ASPECTS and the slice through the lesion."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from infarct.findings import INTENDED_USE, Analysis
from infarct.volume import Scan
from infarct.writers.key_slices import Picture, key_lesion, key_levels
from infarct.writers.panels import RgbArray, draw_panel

WIDTH_PX: Final = 720
CAPTION_PX: Final = 17
"""Height of the letters of the caption."""
MARGIN_PX: Final = 10


@dataclass(frozen=True, eq=False)
class KeyImage:
    """A picture of slice ``slice_index``; ``name`` is its short name, ``title`` says what it shows."""

    name: str
    title: str
    slice_index: int
    picture: Picture


def key_images(scan: Scan, analysis: Analysis) -> tuple[KeyImage, ...]:
    """Return the ganglionic and the supraganglionic slice with the outlines of the regions, and that of the lesion.

    What is not known or not there is left out; where no regions are outlined, the level is shown plain.
    """
    maps = analysis.maps
    slices = [k for k in (maps.ganglionic_slice, maps.supraganglionic_slice) if k is not None]
    names = [
        name
        for name, k in (("ganglionic", maps.ganglionic_slice), ("supraganglionic", maps.supraganglionic_slice))
        if k is not None
    ]
    found = [
        KeyImage(name, f"{level.name}, {level.pictures[0].title.lower()}", k, level.pictures[0])
        for name, k, level in zip(names, slices, key_levels(scan, analysis), strict=True)
    ]
    lesion = key_lesion(scan, analysis)
    if lesion is not None:
        found.append(KeyImage("lesion", lesion[1].title, *lesion))
    return tuple(found)


def draw_captioned(image: KeyImage, analysis: Analysis, *, width_px: int = WIDTH_PX) -> RgbArray:
    """Return the picture with lines below it, burned in: what it shows, the program, and that it is for research.

    The patient's right is on the left. Nothing names the patient.
    """
    picture = draw_panel(image.picture.panel, width_px=width_px)
    software = analysis.findings.software
    lines = (image.title, f"{software.name} {software.version}", *_research_lines())
    height = len(lines) * (CAPTION_PX + MARGIN_PX // 2) + 2 * MARGIN_PX
    band = Image.new("RGB", (picture.shape[1], height), "black")
    draw = ImageDraw.Draw(band)
    for number, line in enumerate(lines):
        draw.text((MARGIN_PX, MARGIN_PX + number * (CAPTION_PX + MARGIN_PX // 2)), line, fill="white", font=_font())
    return np.concatenate([picture, np.asarray(band)])


def _research_lines() -> tuple[str, ...]:
    """Return the intended use, a line a sentence."""
    sentences = [sentence for sentence in INTENDED_USE.split(". ") if sentence]
    return tuple(sentence if sentence.endswith(".") else f"{sentence}." for sentence in sentences)


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), CAPTION_PX)
