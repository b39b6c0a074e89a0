"""Types of blood that is put where it belongs, and on phantoms with true types."""

import numpy as np
import pytest
from scipy import ndimage

from infarct.atlas import load_atlas
from infarct.phantom import draw, render_ct
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head, atlas_labels
from infarct.preprocess.quality import skull_of
from infarct.systems.blood_types import BLOOD_LABELS, carried_types, type_blood, types_of
from infarct.volume import Geometry, resample_labels, volume_ml


def at_atlas(head: Head, x: float, y: float, z: float) -> np.ndarray:
    """Return the distance in mm of each voxel of the head to a place in the atlas (LPS mm)."""
    to_scan = head.registration.atlas_to_scan
    place = to_scan[:3, :3] @ (x, y, z) + to_scan[:3, 3]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in head.geometry.shape_zyx), indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(head.geometry.index_to_world(index) - place, axis=-1))


def ventricles(head: Head) -> np.ndarray:
    atlas = load_atlas()
    return atlas_labels(atlas, atlas.ventricles.astype(np.uint8), head.registration, head.geometry) > 0


def shell(head: Head, depth_mm: float) -> np.ndarray:
    """Return a layer under the skull over one hemisphere, away from its base."""
    to_bone = ndimage.distance_transform_edt(~skull_of(head), sampling=head.geometry.spacing_mm_zyx)
    return head.brain & (to_bone <= depth_mm) & (at_atlas(head, 60, 0, 30) < 45)


def main_type(types: np.ndarray) -> str:
    counts = {name: int((types == label).sum()) for name, label in BLOOD_LABELS.items()}
    return max(counts, key=lambda name: counts[name])


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("radius_mm", [7.0, 20.0])
def test_a_ball_in_the_white_matter_is_parenchymal(healthy_head: Head, side: int, radius_mm: float) -> None:
    blood = healthy_head.brain & (at_atlas(healthy_head, side * 36, 40, 30) < radius_mm)
    assert (type_blood(blood, healthy_head)[blood] == BLOOD_LABELS["parenchymal"]).mean() > 0.95


def test_a_cast_of_the_ventricles_is_intraventricular(healthy_head: Head) -> None:
    blood = ventricles(healthy_head) & (at_atlas(healthy_head, 25, 30, 15) < 40)
    types = type_blood(blood, healthy_head)
    assert (types[blood] == BLOOD_LABELS["intraventricular"]).all()
    assert not types[~blood].any()


def test_a_layer_along_the_skull_is_subdural(healthy_head: Head) -> None:
    blood = shell(healthy_head, 6.0)
    assert volume_ml(blood, healthy_head.geometry) > 10
    assert (type_blood(blood, healthy_head)[blood] == BLOOD_LABELS["subdural"]).all()


def test_thin_blood_between_folds_is_subarachnoid(healthy_head: Head) -> None:
    """Sheets of 3 mm every 12 mm, joined along the surface, from the skull to a depth of 25 mm."""
    near = at_atlas(healthy_head, 55, 0, 25) < 30
    to_bone = ndimage.distance_transform_edt(~skull_of(healthy_head), sampling=healthy_head.geometry.spacing_mm_zyx)
    rows = np.arange(healthy_head.hu.shape[1])[:, None] % 12 < 3
    blood = healthy_head.brain & near & (to_bone < 25) & (rows | (to_bone < 4))
    assert main_type(type_blood(blood, healthy_head)) == "subarachnoid"


def test_a_clot_that_broke_into_the_ventricles_is_parted(healthy_head: Head) -> None:
    clot = healthy_head.brain & (at_atlas(healthy_head, 34, -5, 20) < 16)
    cast = ventricles(healthy_head) & (at_atlas(healthy_head, 20, 35, 18) < 35)
    types = type_blood(clot | cast, healthy_head)
    assert (types[clot & ~cast] == BLOOD_LABELS["parenchymal"]).mean() > 0.95
    assert (types[cast & ~clot] == BLOOD_LABELS["intraventricular"]).mean() > 0.75


def test_specks_are_of_the_type_of_what_is_near(healthy_head: Head) -> None:
    layer = shell(healthy_head, 6.0)
    speck = at_atlas(healthy_head, 40, 0, 30) < 2.5
    far = at_atlas(healthy_head, -40, 20, 30) < 2.5
    reach = ndimage.distance_transform_edt(~layer, sampling=healthy_head.geometry.spacing_mm_zyx)
    types = type_blood(layer | speck | far, healthy_head)
    expected = "subdural" if reach[speck].min() <= 15 else "parenchymal"
    assert (types[speck] == BLOOD_LABELS[expected]).all()
    assert (types[far] == BLOOD_LABELS["parenchymal"]).all()


def test_no_blood_has_no_type(healthy_head: Head) -> None:
    nothing = np.zeros_like(healthy_head.brain)
    assert not type_blood(nothing, healthy_head).any()
    assert types_of(type_blood(nothing, healthy_head), healthy_head.geometry) == ()


def test_volumes_of_types_stand_largest_first() -> None:
    geometry = Geometry.regular((2, 10, 10), (5.0, 2.0, 2.0))
    types = np.zeros(geometry.shape_zyx, dtype=np.uint8)
    types[0, :2] = 1
    types[1, :5] = 3
    assert [(one.type, one.volume_ml) for one in types_of(types, geometry)] == [
        ("subarachnoid", pytest.approx(1.0)),
        ("parenchymal", pytest.approx(0.4)),
    ]


def test_types_are_carried_to_the_nearest_voxels() -> None:
    source = Geometry.regular((2, 10, 10), (5.0, 2.0, 2.0))
    target = Geometry.regular((2, 20, 20), (5.0, 1.0, 1.0), origin_mm=(-0.5, -0.5, 0.0))
    types = np.zeros(source.shape_zyx, dtype=np.uint8)
    types[0, 2:4, 2:4], types[0, 6:8, 6:8] = 2, 4
    mask = np.zeros(target.shape_zyx, dtype=bool)
    mask[0, 3:9, 3:9] = True
    mask[0, 12:17, 12:17] = True
    carried = carried_types(types, source, mask, target)
    assert (carried[0, 3:9, 3:9] == 2).all()
    assert (carried[0, 12:17, 12:17] == 4).all()
    assert not carried[~mask].any()
    assert (carried_types(np.zeros_like(types), source, mask, target)[mask] == BLOOD_LABELS["parenchymal"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "expected"),
    [(19, "parenchymal"), (85, "intraventricular"), (25, "subarachnoid"), (55, "subdural")],
)
def test_the_blood_of_phantoms_has_its_type(index: int, expected: str) -> None:
    visit = render_ct(draw("mimics", index, "test"))
    head = prepare_head(visit.scan("phantom"))
    truth = resample_labels(visit.truth["hemorrhage"].numpy(), visit.geometry, head.geometry)
    types = type_blood(truth > 0, head)
    assert main_type(types) == expected
    assert (types[truth > 0] == truth[truth > 0]).mean() > 0.9
