"""Marked tiles described: where each lies, on which side the evidence is, and which slices show it best."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from infarct.anatomy import INFRATENTORIAL, TERRITORY_LABELS, MarkedSide, Territory
from infarct.atlas import load_atlas
from infarct.atlas.template import TISSUE_CLASSES
from infarct.findings import Area, BrainRegion, Localization, Patch
from infarct.preprocess.head import Head
from infarct.preprocess.tile_clusters import clusters_of
from infarct.preprocess.tile_input import Places, TilePicture, tile_centres_mm
from infarct.systems.lesions import ONE_SIDED_SHARE
from infarct.types import BoolArray, Float64Array, LabelArray
from infarct.volume import Scan
from infarct.volume.resample import labels_at

KEY_SLICES: Final = 3
PROBES: Final = 8
"""Points along each side of a tile at which the atlas is asked."""
HASH_DIGITS: Final = 16


@dataclass(frozen=True)
class Whereabouts:
    """What a tile mostly lies in, by the atlas; None where it does not say."""

    territory: Territory | None = None
    region: BrainRegion | None = None
    area: Area | None = None


def localization_of(
    picture: TilePicture, places: Places, probabilities: Float64Array, *, method: str, scan: Scan, head: Head
) -> Localization:
    """Return the findings of the marked tiles of a picture of ``scan``: ``places`` (n, 3), ``probabilities`` (n,)."""
    left = tile_centres_mm(picture, places) @ picture.plane.normal > picture.plane.offset_mm
    slices = picture.source_slices[places[:, 0]]
    patches = tuple(
        Patch(
            slice_index=int(k),
            sop_uid_hash=_image_hash(scan, int(k)),
            row=int(place[1]),
            column=int(place[2]),
            size_px=picture.tile_px,
            probability=float(probability),
            side="left" if on_left else "right",
            territory=where.territory,
            region=where.region,
            area=where.area,
        )
        for k, place, probability, on_left, where in zip(
            slices, places, probabilities, left, whereabouts(picture, places, head), strict=True
        )
    )
    return Localization(
        method=method,
        patches=patches,
        lesion_side=side_of_tiles(places, probabilities, left, tile_px=picture.tile_px),
        key_slices=fullest_slices(patches),
    )


def side_of_tiles(places: Places, probabilities: Float64Array, left: BoolArray, *, tile_px: int) -> MarkedSide:
    """Return the side that holds nearly all of the evidence, the sum of probabilities.

    A cluster counts wholly for the side on which more of it lies; so one that reaches over the midline has one side.
    """
    if not len(places):
        return "none"
    clusters = clusters_of(places, np.ones(len(places), dtype=bool), tile_px=tile_px)
    whole, on_left = (np.bincount(clusters, weights=part) for part in (probabilities, probabilities * left))
    left_share = whole[on_left > whole / 2].sum() / whole.sum()
    if left_share >= ONE_SIDED_SHARE:
        return "left"
    return "right" if left_share <= 1 - ONE_SIDED_SHARE else "both"


def fullest_slices(patches: tuple[Patch, ...]) -> tuple[int, ...]:
    """Return up to three slices with the largest sums of probabilities, largest first; of equals the lower one."""
    evidence: dict[int, float] = {}
    for patch in patches:
        evidence[patch.slice_index] = evidence.get(patch.slice_index, 0.0) + patch.probability
    return tuple(sorted(evidence, key=lambda k: (-evidence[k], k))[:KEY_SLICES])


def whereabouts(picture: TilePicture, places: Places, head: Head) -> tuple[Whereabouts, ...]:
    """Return what each tile mostly lies in: each territory and tissue by its share of points spread over the tile.

    Territories say what is infratentorial, and the largest one within that region is named; cortical or subcortical is
    the supratentorial tissue alone. Where the registration is not reliable nothing is said.
    """
    if not head.registration.is_reliable or not len(places):
        return (Whereabouts(),) * len(places)
    steps = (np.arange(PROBES) + 0.5) / PROBES * picture.tile_px - 0.5
    probes = np.stack(np.broadcast_arrays(0.0, steps[:, None], steps), axis=-1).reshape(-1, 3)
    points = picture.geometry.index_to_world(places[:, None] + probes)
    to_atlas, atlas = head.registration.scan_to_atlas, load_atlas()
    territories = labels_at(head.territories, head.geometry, points)
    tissue = labels_at(atlas.tissue, atlas.geometry, points @ to_atlas[:3, :3].T + to_atlas[:3, 3])
    return tuple(_whereabouts(*labels) for labels in zip(territories, tissue, strict=True))


def _whereabouts(territories: LabelArray, tissue: LabelArray) -> Whereabouts:
    """Return what a tile lies in, of the labels at its points (p,)."""
    found = {name: int((territories == label).sum()) for name, label in TERRITORY_LABELS.items()}
    if not any(found.values()):
        return Whereabouts()
    below = sum(found[name] for name in INFRATENTORIAL)
    infratentorial = below > sum(found.values()) - below
    there = [name for name in found if (name in INFRATENTORIAL) == infratentorial]
    territory = max(there, key=lambda name: found[name])
    if infratentorial:
        return Whereabouts(territory, "infratentorial")
    cortical, subcortical = (int((tissue == TISSUE_CLASSES.index(name)).sum()) for name in ("cortical", "subcortical"))
    area: Area | None = None
    if cortical or subcortical:
        area = "cortical" if cortical >= subcortical else "subcortical"
    return Whereabouts(territory, "supratentorial", area)


def _image_hash(scan: Scan, k: int) -> str | None:
    """Return the first hex digits of the SHA-256 of the SOP instance UID of a slice; None where there is none."""
    if not scan.source.slices:
        return None
    return hashlib.sha256(scan.source.slices[k].sop_instance_uid.encode()).hexdigest()[:HASH_DIGITS]
