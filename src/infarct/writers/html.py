"""The report that people read: one HTML file that needs nothing else."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from infarct.findings import LONGEST_NAME, Analysis
from infarct.prose import listed, sentence
from infarct.volume import Scan
from infarct.writers import wording
from infarct.writers.attention_slices import attention_slices
from infarct.writers.followup_slices import FOLLOWUP_STYLES, followup_slices
from infarct.writers.key_slices import (
    HEMORRHAGE_STYLE,
    LESION_STYLE,
    OLD_LESION_STYLE,
    REGION_STYLES,
    Picture,
    key_levels,
    lesion_strip,
)
from infarct.writers.model_cards import cards_by_weights
from infarct.writers.panels import BRAIN_WINDOW, DIFFERENCE_SCALE, STROKE_WINDOW, LineStyle, draw_panel, png
from infarct.writers.tile_slices import TILE_STYLE, tile_slices
from infarct.writers.viewer import grid_note, viewed, viewer_json

FILE_NAME: Final = "report.html"
KEY_WIDTH_PX: Final = 560
STRIP_WIDTH_PX: Final = 420
NIIVUE: Final = Path(__file__).parent / "assets" / "niivue.min.js"
VIEWER: Final = Path(__file__).parent / "templates" / "viewer.js"


@dataclass(frozen=True)
class Image:
    """A drawn picture as the template needs it."""

    src: str
    width_px: int
    height_px: int
    title: str
    alt: str


def write_html(scan: Scan, analysis: Analysis, folder: Path) -> Path:
    """Write the report to ``report.html`` in ``folder``, which exists, and return its path."""
    path = folder / FILE_NAME
    path.write_text(render_html(scan, analysis), encoding="utf-8")
    return path


def render_html(scan: Scan, analysis: Analysis) -> str:
    """Return the report as one self-contained HTML text: scan, pictures and scripts inside, nothing fetched.

    Every number comes from ``analysis.findings``; ``scan`` and ``analysis.maps`` are only drawn. The same input
    gives the same text.
    """
    findings = analysis.findings
    shown = viewed(scan, analysis)
    levels = [
        (level, [_image(picture, KEY_WIDTH_PX) for picture in level.pictures]) for level in key_levels(scan, analysis)
    ]
    attention = [_image(picture, KEY_WIDTH_PX) for picture in attention_slices(scan, analysis)]
    tiles = [_image(picture, KEY_WIDTH_PX) for picture in tile_slices(scan, analysis)]
    late = [_image(picture, KEY_WIDTH_PX) for picture in followup_slices(scan, analysis)]
    strip = [_image(picture, STRIP_WIDTH_PX) for picture in lesion_strip(scan, analysis)]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            findings=findings,
            levels=levels,
            attention=attention,
            tiles=tiles,
            late=late,
            strip=strip,
            banner=wording.banner(findings),
            flags=wording.flags_by_severity(findings),
            config=json.dumps(findings.provenance.config, indent=2, sort_keys=True, default=str, ensure_ascii=False),
            marked=_marked(analysis),
            shown=shown,
            grid_note=grid_note(shown),
            cards=cards_by_weights(analysis),
            can_mirror=analysis.maps.reflection is not None,
            viewer_data=Markup(viewer_json(shown, analysis)),
            scripts=_scripts(),
            policy=_policy(),
        )
    )


@cache
def _scripts() -> tuple[Markup, ...]:
    """Return the scripts of the page: NiiVue, then the viewer."""
    return tuple(Markup(path.read_text(encoding="utf-8").strip()) for path in (NIIVUE, VIEWER))


def _policy() -> str:
    """Return what the page may do: run its own scripts, by their hashes, and show pictures that are inside it."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") for script in _scripts())
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:"


def _image(picture: Picture, width_px: int) -> Image:
    pixels = draw_panel(picture.panel, width_px=width_px)
    text = base64.b64encode(png(pixels)).decode("ascii")
    height, width = pixels.shape[:2]
    return Image(f"data:image/png;base64,{text}", width, height, picture.title, picture.alt)


def _marked(analysis: Analysis) -> dict[str, LineStyle]:
    """Return what is outlined in the strip, with its style: the legend."""
    maps = analysis.maps
    kinds = (
        ("lesion, numbered as in the table", maps.infarct, LESION_STYLE),
        ("old infarct", maps.old_infarct, OLD_LESION_STYLE),
        ("suspected bleeding", maps.hemorrhage, HEMORRHAGE_STYLE),
    )
    return {name: style for name, mask, style in kinds if mask is not None and mask.any()}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("infarct.writers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": wording.number,
        "signed": wording.signed,
        "ml": wording.millilitres,
        "pct": wording.percent,
        "sentence": sentence,
    }
    environment.globals |= {
        "wording": wording,
        "listed": listed,
        "region_styles": REGION_STYLES,
        "difference_colours": DIFFERENCE_SCALE.colours,
        "tile_style": TILE_STYLE,
        "followup_styles": FOLLOWUP_STYLES,
        "brain_window": BRAIN_WINDOW,
        "stroke_window": STROKE_WINDOW,
        "longest_name": LONGEST_NAME,
    }
    return environment
