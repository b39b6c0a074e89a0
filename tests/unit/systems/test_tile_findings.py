"""Marked tiles described: territory, region and area against the head's true map; side; key slices."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import INFRATENTORIAL, TERRITORY_LABELS
from infarct.atlas import Atlas
from infarct.findings import Patch
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import TilePicture, tile_grid
from infarct.systems.localize import picture_of
from infarct.systems.tile_findings import Whereabouts, fullest_slices, side_of_tiles, whereabouts
from infarct.volume import resample_labels
from plain_head import PlainPatient
from unit.systems.tiny_localizer import dark_localizer


@pytest.fixture(scope="module")
def picture(healthy_patient: PlainPatient, healthy_head: Head) -> TilePicture:
    return picture_of(healthy_patient.scan, healthy_head, dark_localizer())


def true_names(patient: PlainPatient, atlas: Atlas, picture: TilePicture, places: np.ndarray) -> list[tuple]:
    """Return territory, region and area of tiles that lie by four fifths in one territory and one tissue; or None."""
    carried = [
        resample_labels(labels, atlas.geometry, patient.scan.geometry, transform=patient.truth.scan_to_atlas)
        for labels in (atlas.territories, atlas.cortical.astype(np.uint8), atlas.subcortical.astype(np.uint8))
    ]
    names: list[tuple] = []
    for k, row, column in places:
        tile = (k, slice(row, row + picture.tile_px), slice(column, column + picture.tile_px))
        territory, cortical, deep = (labels[tile] for labels in carried)
        clear = [name for name, label in TERRITORY_LABELS.items() if (territory == label).mean() > 0.8]
        tissue = [name for name, mask in (("cortical", cortical), ("subcortical", deep)) if mask.mean() > 0.8]
        below = bool(clear) and clear[0] in INFRATENTORIAL
        region = "infratentorial" if below else "supratentorial"
        names.append((clear[0], region, tissue[0] if tissue else None) if clear and (below or tissue) else None)
    return names


def test_tiles_are_placed_as_the_head_is(
    healthy_patient: PlainPatient, healthy_head: Head, atlas: Atlas, picture: TilePicture
) -> None:
    """The head is the atlas's, posed and scaled; its registration is found, not given."""
    places = tile_grid(picture)
    truth = true_names(healthy_patient, atlas, picture, places)
    clear = [i for i, names in enumerate(truth) if names is not None]
    assert len(clear) > 600
    found = whereabouts(picture, places[clear], healthy_head)
    right = [(one.territory, one.region, one.area) == truth[i] for one, i in zip(found, clear, strict=True)]
    assert np.mean(right) > 0.97
    assert {truth[i][0] for i in clear} >= {"ACA", "MCA", "PCA", "cerebellum"}
    assert {truth[i][2] for i in clear} == {"cortical", "subcortical", None}


def test_infratentorial_tiles_have_no_area(picture: TilePicture, healthy_head: Head) -> None:
    for one in whereabouts(picture, tile_grid(picture), healthy_head):
        assert (one.region == "infratentorial") == (one.territory in INFRATENTORIAL)
        assert one.region == "supratentorial" or one.area is None


def test_without_a_reliable_registration_nothing_is_said(picture: TilePicture, healthy_head: Head) -> None:
    lost = replace(healthy_head, registration=replace(healthy_head.registration, is_reliable=False))
    assert whereabouts(picture, tile_grid(picture)[:3], lost) == (Whereabouts(),) * 3
    assert whereabouts(picture, tile_grid(picture)[:0], healthy_head) == ()


PLACES = np.array([[3, 0, 0], [3, 0, 8], [3, 40, 40], [9, 40, 40]])


@pytest.mark.parametrize(
    ("left", "probabilities", "side"),
    [
        ([True] * 4, [0.9] * 4, "left"),
        ([False] * 4, [0.9] * 4, "right"),
        ([True, True, False, False], [0.9] * 4, "both"),
        ([True, True, False, False], [0.9, 0.9, 0.2, 0.2], "left"),
        ([True, True, False, False], [0.1, 0.1, 0.9, 0.9], "right"),
        # The first two touch: the cluster lies mainly on the right, and all of it counts there.
        ([True, False, False, False], [0.4, 0.6, 0.3, 0.3], "right"),
    ],
)
def test_the_side_holds_nearly_all_evidence(left: list[bool], probabilities: list[float], side: str) -> None:
    assert side_of_tiles(PLACES, np.array(probabilities), np.array(left), tile_px=8) == side


def test_no_tiles_no_side() -> None:
    assert side_of_tiles(PLACES[:0], np.zeros(0), np.zeros(0, dtype=bool), tile_px=8) == "none"


def patch(slice_index: int, probability: float) -> Patch:
    return Patch(
        slice_index=slice_index,
        sop_uid_hash=None,
        row=0,
        column=0,
        size_px=8,
        probability=probability,
        side="left",
        territory=None,
    )


def test_key_slices_are_three_at_most() -> None:
    patches = (patch(2, 0.6), patch(5, 0.9), patch(5, 0.9), patch(7, 0.6), patch(8, 0.7), patch(9, 0.5))
    assert fullest_slices(patches) == (5, 8, 2)
    assert fullest_slices(patches[:1]) == (2,)
    assert fullest_slices(()) == ()
