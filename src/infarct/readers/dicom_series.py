"""Choose the non-contrast head series among all that a folder holds, and say why in plain words."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from infarct.errors import BadRequest, NotHeadCT, Refusal, UnreadableInput
from infarct.readers.dicom_image import Image, short
from infarct.readers.slice_gaps import SAME_POSITION_MM
from infarct.types import Flag

MIN_SLICES = 8
_ANGIO = re.compile(r"\b(cta|angio\w*|carotid\w*|ctp|perf\w*|venogra\w*|bolus|monitoring|premonitoring)\b")
_CONTRAST = re.compile(r"(contrast|kontrast|\bkm\b|\bpost\b|\bc\s?\+|\+\s?c\b|\biv\b|enhanced|\bce\b|arterial|venous)")
_PLAIN = re.compile(
    r"(w/o|wo\b|without|\bnon[- ]?(con\w*|enh\w*|ce)\b|\bncct\b|\bnect\b|nativ|\bc\s?-(?!\w)|ohne|plain)"
)
_SHARP_WORDS = re.compile(r"\b(bone|knochen|osseous|sharp|lung|edge|hrct|inner ear|felsenbein)\b")
_OTHER_PARTS = re.compile(r"(neck|hals|chest|thorax|lung|abd|pelvis|spine|\bcspine|cervical|heart|knee|sinus)")
_HEAD_WORDS = re.compile(r"(head|brain|skull|kopf|schaedel|sch.del|cran|cereb|stroke|neuro)")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A series, the images of it that may make a volume, and what speaks for or against it."""

    uid: str
    images: tuple[Image, ...]
    problem: str | None
    """Why it cannot be read as a volume, in a few words; None where it can."""
    points: Mapping[str, float]
    """What speaks for (positive) and against (negative) it, by reason in a few words."""

    @property
    def score(self) -> float:
        """Sum of the points: the highest is read."""
        return sum(self.points.values())

    def weakness(self, best: "Candidate") -> str:
        """Return why it comes after ``best``, in a few words."""
        if self.problem is not None:
            return self.problem
        lost = {reason: best.points.get(reason, 0.0) - points for reason, points in self.points.items() if points < 0}
        worst = max(lost, key=lambda reason: lost[reason], default="")
        return worst if lost.get(worst, 0.0) > 0 else "less suited"


def candidates(images: tuple[Image, ...]) -> tuple[Candidate, ...]:
    """Return every series as a candidate, the best first; the order depends on no file name."""
    series: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        series[image.identity.series_uid].append(image)
    rated = [_candidate(uid, tuple(members)) for uid, members in series.items()]
    return tuple(sorted(rated, key=_rank))


def chosen(all_series: tuple[Candidate, ...], series_uid: str | None) -> tuple[Candidate, ...]:
    """Return the usable series to try, the best first; only the one asked for where ``series_uid`` is given.

    Raises `BadRequest` where that series is not there or several patients are, `NotHeadCT` or
    `UnreadableInput` where no series can be read.
    """
    usable = tuple(c for c in all_series if c.problem is None)
    if series_uid is not None:
        wanted = tuple(c for c in all_series if c.uid == series_uid)
        if not wanted:
            raise BadRequest(f"the series asked for is not there; {_listing(usable)}")
        if wanted[0].problem:
            raise NotHeadCT(f"the series asked for cannot be read: {wanted[0].problem}; {_listing(usable)}")
        return wanted
    if not usable:
        raise _no_series(all_series)
    if len({c.images[0].identity.patient for c in usable}) > 1:
        raise BadRequest(f"the folder holds scans of several patients; choose one with --series: {_listing(usable)}")
    return usable


def explain(best: Candidate, all_series: tuple[Candidate, ...], *, asked: bool) -> str:
    """Return one or two plain sentences about the choice, without any text that could name the patient."""
    thick = sorted({image.thickness_mm for image in best.images if image.thickness_mm})
    width = f" of {thick[0]:g} mm" if len(thick) == 1 else f" of {thick[0]:g} to {thick[-1]:g} mm" if thick else ""
    kernel = best.images[0].words.kernel
    what = f"{len(best.images)} axial slices{width}" + (f", kernel {kernel}" if kernel else "")
    start = f"Read the series that was asked for: {what}." if asked else f"Chose {what}."
    others = Counter(c.weakness(best) for c in all_series if c is not best)
    total = sum(others.values())
    if not total:
        return f"{start} It is the only series." if not asked else start
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(others.items()))
    return f"{start} Left aside {total} other series: {reasons}."


def stray_flags(best: Candidate, images: tuple[Image, ...]) -> list[Flag]:
    """Return a flag where images outside the chosen series fit onto its stack: it may have been torn apart."""
    members = {id(image) for image in best.images}
    first = best.images[0]
    normal = np.cross(*np.array(first.orientation).reshape(2, 3)) if first.orientation else np.zeros(3)
    own = np.sort([float(np.array(i.position_mm) @ normal) for i in best.images if i.position_mm is not None])
    reach = 1.5 * float(np.median(np.diff(own)))
    strays = 0
    for image in images:
        if id(image) in members or image.position_mm is None or not _alike(image, first):
            continue
        position = float(np.array(image.position_mm) @ normal)
        nearest = float(np.abs(own - position).min())
        aside = np.array(image.position_mm) - np.array(first.position_mm)
        in_line = float(np.linalg.norm(aside - (aside @ normal) * normal)) < 2.0 + 0.6 * abs(float(aside @ normal))
        strays += SAME_POSITION_MM < nearest <= reach and in_line
    if not strays:
        return []
    words = f"{strays} images outside the chosen series fit onto its stack: the series may be incomplete."
    return [Flag("slices_stray", "info", words, float(strays))]


def _alike(image: Image, other: Image) -> bool:
    return (
        (image.store.format.rows, image.store.format.columns) == (other.store.format.rows, other.store.format.columns)
        and image.orientation == other.orientation
        and image.spacing_mm_yx == other.spacing_mm_yx
        and image.store.frames == 1
    )


def _candidate(uid: str, members: tuple[Image, ...]) -> Candidate:
    flat = tuple(image for image in members if not _is_localizer(image) and _is_axial(image))
    problem = _problem(members, flat)
    if problem is not None:
        return Candidate(uid, flat, problem, {})
    return Candidate(uid, flat, None, _points(flat))


def _rank(candidate: Candidate) -> tuple[bool, float, int, str, int, str]:
    first = candidate.images[0].identity if candidate.images else None
    date = first.study_date if first else ""
    newest = "".join(chr(255 - ord(letter)) if ord(letter) < 256 else letter for letter in date)
    number = first.series_number or 0 if first else 0
    return candidate.problem is not None, -candidate.score, -len(candidate.images), newest, number, candidate.uid


def _is_localizer(image: Image) -> bool:
    return bool({"LOCALIZER", "SCOUT", "TOPOGRAM"} & set(image.words.image_type))


def _is_axial(image: Image) -> bool:
    """Tell slices within about 50 degrees of axial; one without a valid orientation stays in, to be refused later."""
    if image.orientation is None:
        return True
    columns, rows = np.array(image.orientation[:3]), np.array(image.orientation[3:])
    lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(columns @ rows)) > 0.01:
        return True
    return bool(abs(np.cross(columns, rows)[2]) > 0.6)


def _problem(members: tuple[Image, ...], flat: tuple[Image, ...]) -> str | None:
    modalities = Counter(image.identity.modality for image in members)
    if modalities.most_common(1)[0][0] != "CT":
        return "not CT"
    if sum(image.store.format.samples != 1 for image in members) * 2 > len(members):
        return "colour pictures"
    if not flat:
        return "localizer" if all(_is_localizer(image) for image in members) else "not axial"
    if sum(image.position_mm is None for image in flat) * 2 > len(flat):
        return "without image positions"
    if len({(image.position_mm, image.frame is None) for image in flat}) < MIN_SLICES:
        return "with fewer than 8 slices"
    return None


def _points(images: tuple[Image, ...]) -> dict[str, float]:
    """Return what speaks for (positive) and against (negative) a series, by reason."""
    first = images[0].words
    text = first.description
    heights = [image.position_mm[2] for image in images if image.position_mm is not None]
    repeats = len(images) / max(len({round(h, 1) for h in heights}), 1)
    plain = bool(_PLAIN.search(text))
    contrast = any(image.words.contrast for image in images) or (bool(_CONTRAST.search(text)) and not plain)
    kind = set(first.image_type)
    reach = max(heights) - min(heights)
    body = f"{first.body_part.lower()} {text}"
    return {
        "with contrast": -100.0 if contrast or _ANGIO.search(text) else 0.0,
        "dynamic": -80.0 if repeats >= 3 else 0.0,
        "derived": -60.0 if kind & {"MIP", "MINIP", "PROJECTION IMAGE"} else -30.0 if kind & _DERIVED else 0.0,
        "with a sharp kernel": -50.0 if is_sharp(first.kernel) or _SHARP_WORDS.search(text) else 0.0,
        "of another body part": -40.0 if _OTHER_PARTS.search(body) and not _HEAD_WORDS.search(body) else 0.0,
        "covering too little": -40.0 if reach < 80 else 0.0,
        "covering too much": -20.0 if reach > 350 else 0.0,
        "plain": 20.0 if plain else 0.0,
        "head": 10.0 if _HEAD_WORDS.search(body) else 0.0,
        "thickness": _thickness_points(images),
    }


_DERIVED = {"DERIVED", "SECONDARY", "MPR", "REFORMATTED", "CSA MPR", "AVERAGE", "RESAMPLED"}


def _thickness_points(images: tuple[Image, ...]) -> float:
    """Thick slices have the low noise that early infarcts need; thin ones come next."""
    thick = [image.thickness_mm for image in images if image.thickness_mm]
    if not thick:
        return 0.0
    middle = float(np.median(thick))
    return 15.0 if 2.5 <= middle <= 6 else 10.0 if 1.2 < middle < 7.5 else 5.0


def is_sharp(kernel: str | None) -> bool:
    """Tell kernels for bone and lung from those for soft tissue, by the makers' naming schemes."""
    if kernel is None:
        return False
    name = kernel.upper()
    if re.search(r"BONE|EDGE|LUNG|SHARP|DETAIL", name):
        return True
    siemens = re.match(r"[BHUJQ][A-Z]?(\d{2})", name)
    if siemens:
        return int(siemens[1]) >= 50
    canon = re.match(r"FC(\d{2})", name)
    if canon:
        return 30 <= int(canon[1]) <= 39 or 50 <= int(canon[1]) <= 59 or int(canon[1]) >= 80
    return name in {"D", "E", "L", "YC", "YD", "EC", "YE"}  # Philips


def _listing(usable: tuple[Candidate, ...]) -> str:
    if not usable:
        return "no series in it can be read as a head CT"
    shown = [f"{c.uid} ({len(c.images)} slices)" for c in usable if re.fullmatch(r"[0-9.]{1,64}", c.uid)][:4]
    return f"{len(usable)} usable series: " + ", ".join(shown) if shown else f"{len(usable)} usable series"


def _no_series(all_series: tuple[Candidate, ...]) -> Refusal:
    if not all_series:
        return UnreadableInput("no DICOM image is in the folder; pass a folder with a CT series, or a NIfTI file")
    reason, _ = Counter(c.problem for c in all_series).most_common(1)[0]
    if reason == "not CT":
        found = Counter(short(i.identity.modality[:2]) or "unknown" for c in all_series for i in c.images)
        names = found.most_common(1)[0][0] if found else "unknown"
        return NotHeadCT(f"no CT series was found: the images are of modality {names}; pass a head CT")
    if reason == "without image positions":
        return UnreadableInput("the CT images hold no position (ImagePositionPatient); export the original series")
    largest = max((len(c.images) for c in all_series), default=0)
    if reason == "with fewer than 8 slices":
        return NotHeadCT(f"the largest CT series holds {largest} slices; at least {MIN_SLICES} axial ones are needed")
    return NotHeadCT(f"no axial CT series was found: the series are {reason}; pass a head CT")
