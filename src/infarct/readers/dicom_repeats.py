"""Several images of one place in one series: copies are dropped, repeated acquisitions told apart."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np

from infarct.readers.dicom_image import Image
from infarct.readers.dicom_pixels import stored_values
from infarct.readers.slice_gaps import SAME_POSITION_MM
from infarct.types import Flag

_KEYS: tuple[Callable[[Image], Hashable], ...] = (
    lambda image: image.identity.acquisition[1],  # temporal position
    lambda image: image.identity.acquisition[0],  # acquisition number
    lambda image: image.words.kernel,
    lambda image: image.thickness_mm,
    lambda image: image.words.image_type,
    lambda image: image.identity.acquisition[2],  # acquisition time
    lambda image: image.identity.acquisition[3],
    lambda image: image.words.contrast,
)
"""What tells repeated acquisitions in one series apart, the surest first."""


def without_repeats(images: tuple[Image, ...]) -> tuple[tuple[Image, ...], list[Flag]]:
    """Return one image a position, of images sorted by position, and flags that say what was left out.

    Copies with the same pixels are dropped. Where images of one place differ, the series is split by temporal
    position, acquisition number, kernel, thickness or time, and the part that reaches farthest (the earliest of
    equals) is kept; where nothing separates them, the first image of each place.
    """
    places = _places(images)
    if len(places) == len(images):
        return images, []
    kept = [_without_copies(place) for place in places]
    flags = []
    copies = len(images) - sum(map(len, kept))
    if copies:
        words = f"{copies} slices were there more than once, with the same pixels; the copies were left out."
        flags.append(Flag("slices_duplicate", "info", words, float(copies)))
    if all(len(place) == 1 for place in kept):
        return tuple(place[0] for place in kept), flags
    part = _separated(kept)
    if part is not None:
        others = sum(map(len, kept)) - len(part)
        words = f"The series holds repeated acquisitions or reconstructions; {others} images of others were left out."
        return part, [*flags, Flag("acquisitions_several", "warning", words, float(others))]
    conflicts = sum(len(place) > 1 for place in kept)
    words = f"{conflicts} slice positions are taken by different images; the first image of each was used."
    flags.append(Flag("slices_conflicting", "critical", words, float(conflicts)))
    return tuple(place[0] for place in kept), flags


def _places(images: tuple[Image, ...]) -> list[list[Image]]:
    columns, rows = np.array(images[0].orientation).reshape(2, 3)
    normal = np.cross(columns, rows)
    places: list[list[Image]] = []
    last = -np.inf
    for image in images:
        position = float(np.array(image.position_mm) @ normal)
        if abs(position - last) < SAME_POSITION_MM:
            places[-1].append(image)
        else:
            places.append([image])
            last = position
    return places


def _without_copies(place: list[Image]) -> list[Image]:
    if len(place) == 1:
        return place
    distinct: dict[Hashable, Image] = {}
    for image in place:
        distinct.setdefault((_digest(image), image.slope, image.intercept, image.position_mm), image)
    return list(distinct.values())


def _digest(image: Image) -> bytes:
    plane = np.ascontiguousarray(stored_values(image.store)[image.frame or 0])
    return hashlib.sha256(plane.astype(np.int32).tobytes()).digest()


def _separated(places: list[list[Image]]) -> tuple[Image, ...] | None:
    """Return the part that reaches farthest under the first key that tells the images of each place apart."""
    for key in _KEYS:
        parts: dict[Hashable, list[tuple[int, Image]]] = defaultdict(list)
        for index, place in enumerate(places):
            for image in place:
                parts[key(image)].append((index, image))
        whole = [p for p in parts.values() if len(p) >= 0.7 * len(places) and len({i for i, _ in p}) == len(p)]
        if len(parts) > 1 and whole:
            best = max(whole, key=lambda part: (part[-1][0] - part[0][0], len(part)))
            return tuple(image for _, image in best)
    return None
