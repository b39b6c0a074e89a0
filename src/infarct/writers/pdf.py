"""The record on paper: two pages with the answers, their doubts, the key images and what made them."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from matplotlib import font_manager
from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, Image, KeepInFrame, Paragraph, Table, TableStyle

from infarct.findings import Analysis, Aspects, Findings, Lesion
from infarct.volume import Scan
from infarct.writers import wording
from infarct.writers.key_images import key_images
from infarct.writers.key_slices import REGION_STYLES
from infarct.writers.panels import RgbArray, draw_panel

FILE_NAME: Final = "report.pdf"
MARGIN: Final = 15 * mm
FOOT: Final = 12 * mm
PICTURE_PX: Final = 560
LISTED_FLAGS: Final = 8
LISTED_LESIONS: Final = 8
"""What has no room on two pages is counted; findings.json has it."""
FONT: Final = "DejaVuSans"
BOLD: Final = "DejaVuSans-Bold"
INK, MUTED, LINE = (colors.HexColor(code) for code in ("#16202b", "#51606f", "#c4ccd4"))
LEVEL_COLOURS: Final = {
    "critical": (colors.HexColor("#fdeeee"), colors.HexColor("#a11616")),
    "warning": (colors.HexColor("#fff5e2"), colors.HexColor("#7a4b00")),
    "info": (colors.HexColor("#ecf4fb"), colors.HexColor("#14507a")),
    "ok": (colors.HexColor("#ebf6ee"), colors.HexColor("#1c6334")),
}
"""Ground and ink of the verdict, as in the HTML report."""


def write_pdf(scan: Scan, analysis: Analysis, folder: Path) -> Path:
    """Write the record to ``report.pdf`` in ``folder``, which exists, and return its path."""
    path = folder / FILE_NAME
    path.write_bytes(render_pdf(scan, analysis))
    return path


def render_pdf(scan: Scan, analysis: Analysis) -> bytes:
    """Return the record as a PDF of two A4 pages; the same input gives the same bytes.

    Every number comes from ``analysis.findings``; ``scan`` and ``analysis.maps`` are only drawn.
    """
    _register_fonts()
    stream, findings = io.BytesIO(), analysis.findings
    canvas = Canvas(stream, pagesize=A4, invariant=1, pageCompression=1)
    canvas.setTitle("infarct: head CT, ischemic change")
    canvas.setAuthor(f"{findings.software.name} {findings.software.version}")
    canvas.setSubject(findings.intended_use)
    pages = (_answers(findings), _evidence(scan, analysis))
    for number, page in enumerate(pages, start=1):
        _draw_page(canvas, findings, page, number=number, count=len(pages))
    canvas.save()
    return stream.getvalue()


@cache
def _register_fonts() -> None:
    """Take the letters that matplotlib brings: they have a minus sign, and are the same on every machine."""
    for name, weight in ((FONT, "normal"), (BOLD, "bold")):
        path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight))
        pdfmetrics.registerFont(TTFont(name, path))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


def _draw_page(canvas: Any, findings: Findings, story: list[Any], *, number: int, count: int) -> None:
    """Draw one page, whatever is on it made smaller until it fits."""
    width, height = A4
    room = width - 2 * MARGIN, height - MARGIN - FOOT - 6 * mm
    frame = Frame(MARGIN, FOOT + 6 * mm, *room, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    frame.addFromList([KeepInFrame(*room, story, mode="shrink")], canvas)
    canvas.setFont(FONT, 7)
    canvas.setFillColor(INK)
    canvas.drawString(MARGIN, FOOT, findings.intended_use)
    canvas.drawRightString(width - MARGIN, FOOT, f"page {number} of {count}")
    canvas.showPage()


def _style(size: float = 8.0, *, bold: bool = False, **more: Any) -> ParagraphStyle:
    plain = {"fontName": BOLD if bold else FONT, "fontSize": size, "leading": size * 1.3, "textColor": INK}
    return ParagraphStyle("plain", **(plain | more))


def _text(text: str, size: float = 8.0, *, bold: bool = False, **more: Any) -> Paragraph:
    """Return a paragraph of plain text: nothing in it is taken for markup."""
    return Paragraph(escape(text), _style(size, bold=bold, **more))


def _heading(text: str) -> Paragraph:
    return _text(text, 10, bold=True, spaceBefore=6, spaceAfter=3)


def _answers(findings: Findings) -> list[Any]:
    """Return the first page: verdict, scores and volumes, regions."""
    story = [
        _text("Head CT: ischemic change", 14, bold=True, spaceAfter=2),
        _text(
            f"{findings.software.name} {findings.software.version}. {findings.intended_use}",
            textColor=MUTED,
            spaceAfter=5,
        ),
        _verdict(findings),
    ]
    if findings.aspects is not None:
        story += [_heading("ASPECTS"), *_score(findings, findings.aspects)]
    rows = wording.volume_rows(findings)
    if rows:
        cells = [[row.what, row.volume, row.remark] for row in rows]
        story += [_heading("Volumes"), _table(["What", "Volume", "Remark"], cells, (70, 26, 84), right=(1,))]
    if findings.agreement is not None:
        story += [_heading("Do the systems agree?"), _text(wording.agreement_sentence(findings.agreement))]
    if findings.aspects is not None:
        story += [_heading("Regions"), _regions(findings.aspects), *_corrections(findings.aspects)]
        method = findings.aspects.method
        note = f"{wording.probability_note(findings, method)} {wording.threshold_note(findings, method)}".strip()
        story += [_text(note, 7, textColor=MUTED, spaceBefore=3)] if note else []
    missing = wording.not_run(findings)
    return [*story, _text(missing)] if missing else story


def _verdict(findings: Findings) -> Table:
    verdict, flags = wording.banner(findings), wording.flags_by_severity(findings)
    lines = [_text(verdict.title, 10, bold=True, textColor=LEVEL_COLOURS[verdict.level][1]), _text(verdict.text)]
    for flag in flags[:LISTED_FLAGS]:
        lines.append(_text(f"{wording.SEVERITY_WORDS[flag.severity]}: {flag.message} ({flag.code})", 7.5))
    if len(flags) > LISTED_FLAGS:
        lines.append(_text(f"{len(flags) - LISTED_FLAGS} more: see report.html or findings.json.", 7.5))
    ground, ink = LEVEL_COLOURS[verdict.level]
    style = [("BACKGROUND", (0, 0), (-1, -1), ground), ("BOX", (0, 0), (-1, -1), 0.8, ink)]
    return Table([[lines]], colWidths=[180 * mm], style=TableStyle(style))


def _score(findings: Findings, aspects: Aspects) -> list[Any]:
    """Return the score in large figures with what it rests on beside it."""
    open_range = f"{aspects.score_min} to {aspects.score_max}"
    large = f"{aspects.score} of 10" if aspects.score is not None else f"not scored ({open_range} possible)"
    affected = wording.regions_with(aspects, "affected")
    said = (
        wording.doubt(findings),
        wording.side_sentence(aspects),
        f"Affected: {affected}." if affected else "No region is affected.",
        wording.aspects_reason(aspects),
        wording.interval_sentence(aspects),
        wording.reader_sentence(aspects),
        "" if findings.hyperdense_artery is None else wording.artery_sentence(findings.hyperdense_artery),
        f"Right side {wording.score_word(aspects.right_score)}, left side {wording.score_word(aspects.left_score)}.",
        wording.method_sentence(aspects.method),
    )
    size = 20 if aspects.score is not None else 11
    lines = [_text(sentence) for sentence in said if sentence]
    style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")])
    return [Table([[_text(large, size, bold=True), lines]], colWidths=[45 * mm, 135 * mm], style=style)]


def _regions(aspects: Aspects) -> Table:
    """Return the ten regions, the patient's right and left side by side."""
    head = ["Region", "Right", "HU", "NWU", "Prob.", "Left", "HU", "NWU", "Prob."]
    cells = []
    for row in wording.region_rows(aspects):
        line = [f"{row.region} {row.name}"]
        for cell in (row.right, row.left):
            if cell is None:
                line += ["not looked at", wording.MISSING, wording.MISSING, wording.MISSING]
                continue
            found = f"{cell.reader} (reader)" if cell.reader else cell.finding
            line += [found, cell.mean_hu, cell.water_uptake, cell.probability]
        cells.append(line)
    return _table(head, cells, (52, 24, 11, 18, 11, 24, 11, 18, 11), right=(2, 3, 4, 6, 7, 8))


def _corrections(aspects: Aspects) -> list[Any]:
    lines = wording.reader_lines(aspects)
    return [_text("Corrected by a reader: " + "; ".join(lines), 7, spaceBefore=3)] if lines else []


def _evidence(scan: Scan, analysis: Analysis) -> list[Any]:
    """Return the second page: key images, lesions, scan, program."""
    findings = analysis.findings
    story: list[Any] = [_heading("Key images"), *_pictures(scan, analysis)]
    lesions = findings.infarct.lesions if findings.infarct else ()
    if lesions:
        story += [_heading("Lesions, largest first"), _lesions(lesions)]
    left_out = len(lesions) - LISTED_LESIONS
    if left_out > 0:
        story.append(_text(f"{left_out} smaller lesions are not listed here; findings.json has them all."))
    story += [_heading("Scan"), _facts(wording.scan_facts(findings))]
    program = [*wording.program_facts(findings), *wording.weights_facts(findings)]
    return [*story, _heading("Program"), _facts(program)]


def _pictures(scan: Scan, analysis: Analysis) -> list[Any]:
    """Return the key images in a row, each with its title below."""
    images = key_images(scan, analysis)
    if not images:
        return [_text("No slice stands out: see report.html.")]
    width = 180 * mm / 3 - 4
    cells = [
        [_picture(draw_panel(image.picture.panel, width_px=PICTURE_PX), width) for image in images],
        [_text(image.title, 7, alignment=TA_CENTER) for image in images],
    ]
    outlines = "; ".join(f"{name} {COLOUR_WORDS[name]}" for name in REGION_STYLES)
    told = (
        "Seen from the feet: the patient's right (R) is on the left of every picture. "
        f"Outlines of regions: {outlines}. Slices are counted from below."
    )
    table = Table(cells, colWidths=[width + 4] * len(images), hAlign="LEFT")
    return [_text(told, 7.5, textColor=MUTED, spaceAfter=2), table]


COLOUR_WORDS: Final = {"affected": "orange", "not affected": "blue", "not evaluable": "grey, dashed"}
"""The colours of `REGION_STYLES` in words."""


def _picture(pixels: RgbArray, width: float) -> Image:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "JPEG", quality=92, subsampling=0)
    stream.seek(0)
    return Image(stream, width=width, height=width * pixels.shape[0] / pixels.shape[1])


def _lesions(lesions: Sequence[Lesion]) -> Table:
    head = ["", "Volume", "Side, territories", "Stage", "Mean HU", "NWU", "Probability"]
    cells = [
        [
            str(number),
            wording.millilitres(lesion.volume_ml),
            wording.lesion_place(lesion),
            wording.STAGES[lesion.stage],
            wording.number(lesion.mean_hu),
            wording.MISSING
            if lesion.net_water_uptake_pct is None
            else f"{wording.number(lesion.net_water_uptake_pct)} %",
            wording.percent(lesion.probability),
        ]
        for number, lesion in enumerate(lesions[:LISTED_LESIONS], start=1)
    ]
    return _table(head, cells, (8, 24, 54, 34, 20, 18, 22), right=(1, 4, 5, 6))


def _facts(facts: Sequence[tuple[str, str]]) -> Table:
    cells = [[_text(name, 7, textColor=MUTED), _text(value, 7)] for name, value in facts]
    style = [("TOPPADDING", (0, 0), (-1, -1), 0.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 0.5)]
    return Table(cells, colWidths=[34 * mm, 146 * mm], style=TableStyle([*style, ("VALIGN", (0, 0), (-1, -1), "TOP")]))


def _table(
    head: Sequence[str], cells: Sequence[Sequence[str]], widths_mm: Sequence[float], *, right: Sequence[int]
) -> Table:
    """Return a table with a heading; the columns ``right`` hold numbers and stand to the right."""
    aligned = [_style(7.5, alignment=2 if column in right else 0) for column in range(len(head))]
    bold = [_style(7.5, bold=True, alignment=style.alignment) for style in aligned]
    rows = [
        [Paragraph(escape(text), style) for text, style in zip(row, styles, strict=True)]
        for row, styles in [(head, bold), *((row, aligned) for row in cells)]
    ]
    style = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 1.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 5),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return Table(rows, colWidths=[width * mm for width in widths_mm], repeatRows=1, style=TableStyle(style))
