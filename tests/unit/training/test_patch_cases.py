"""Prepared heads: what is stored is what the scan showed, cut to the brain; damage and mixing are refused."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_patches import TINY_PICTURES, blob_head, write_patches

from infarct.errors import BadRequest, UnreadableInput
from infarct.phantom import Patient, Pose, Visit, draw, render_ct
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.patch_input import EVERYDAY_PATCHES, PAPER_PATCHES, make_patch_picture
from infarct.training import patch_cases
from infarct.training.cases import Order, PhantomShare, kind_of
from infarct.training.patch_cases import (
    BRAIN,
    DARK,
    DENSE,
    INFARCT,
    OLD,
    ROOM_PX,
    STAINED,
    TISSUE,
    PatchPlan,
    blood_on,
    marks_of,
    picture_of,
    prepare_patch_cases,
)
from infarct.training.patch_store import load_patch_cases, read_patch_index
from infarct.volume import Geometry, volume_ml

SHAPE = (4, 60, 64)
GRID = Geometry.regular(SHAPE, (5.0, 1.0, 1.0), origin_mm=(-31.5, -29.5, 0.0))
PLANE = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
PLAN = PatchPlan((PhantomShare("followup", 2, 1), PhantomShare("mimics", 1, 0)), TINY_PICTURES)


def box(*parts: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[parts] = True
    return mask


def test_marks_by_hand() -> None:
    """Fluid in the middle, an infarct with blood in it, an old one, staining, a dense and a dark spot."""
    brain = box(slice(None), slice(5, 55), slice(5, 59))
    ventricle = box(slice(1, 3), slice(24, 36), slice(26, 38))
    infarct, bleed = box(slice(1, 3), slice(10, 20), slice(40, 50)), box(slice(1, 3), slice(14, 17), slice(43, 46))
    old, stained = box(slice(1, 3), slice(40, 46), slice(10, 16)), box(slice(1, 3), slice(10, 14), slice(10, 14))
    dense, dark = box(slice(3, 4), slice(40, 44), slice(40, 44)), box(slice(3, 4), slice(20, 24), slice(20, 24))
    hu = np.where(brain, 36.0, 0.0)
    for part, value in ((ventricle, 6), (infarct, 20), (bleed, 65), (old, 15), (stained, 60), (dense, 70), (dark, 15)):
        hu[part] = value
    picture = make_patch_picture(hu.astype(np.float32), GRID, brain=brain, plane=PLANE, setting=TINY_PICTURES)
    truth = {
        "infarct": infarct,
        "old_infarct": old,
        "staining": stained,
        "hemorrhage": np.where(bleed, 5, 0).astype(np.uint8),
    }
    marks = marks_of(picture, truth)
    for bit, expected in ((BRAIN, brain), (INFARCT, infarct), (OLD, old), (STAINED, stained)):
        np.testing.assert_array_equal(marks.bits & bit > 0, expected)
    np.testing.assert_array_equal(marks.blood, np.where(bleed, 5, 0))
    fluid = (marks.bits & BRAIN > 0) & (marks.bits & TISSUE == 0)
    assert fluid[ventricle].mean() > 0.6
    assert not fluid[~ventricle].any()
    np.testing.assert_array_equal(marks.bits & DENSE > 0, stained | dense)
    near = box(slice(1, 3), slice(7, 23), slice(37, 53))
    np.testing.assert_array_equal((marks.bits & DARK > 0) & ~near & ~ventricle, (old | dark))
    assert not (marks.bits & DARK > 0)[infarct].any()


def test_kinds_of_blood_share_a_voxel() -> None:
    """Two kinds that each fill a third of a slab are blood together; the greater share names it."""
    thin = Geometry.regular((8, 20, 20), (1.25, 1.0, 1.0), origin_mm=(-9.5, 0.0, 0.0))
    everywhere = np.ones((8, 20, 20), dtype=bool)
    hemorrhage = np.zeros((8, 20, 20), dtype=np.uint8)
    hemorrhage[0, 5, 5], hemorrhage[1:3, 5, 5] = 2, 1
    hemorrhage[4, 8, 8] = 4
    hu = np.full((8, 20, 20), 35, dtype=np.float32)
    picture = make_patch_picture(hu, thin, brain=everywhere, plane=PLANE, setting=PAPER_PATCHES)
    blood = blood_on(picture, hemorrhage)
    assert blood.shape == (2, 20, 20)
    assert blood[0, 5, 5] == 1
    assert blood.sum() == 1


@cache
def blob(seed: int, ill: bool) -> Visit:
    """Return a scan of an ellipse of noise; the ill have an infarct on the left, with blood in it."""
    _, row, column = np.indices(SHAPE)
    brain = ((row - 29.5) / 20) ** 2 + ((column - 31.5) / 18) ** 2 < 1
    infarct, nothing = np.zeros((2, *SHAPE), dtype=bool)
    infarct[1:3, 20:34, 36:46] = ill
    bleed = np.zeros(SHAPE, dtype=np.uint8)
    bleed[1, 22:26, 38:42] = 5 * ill
    hu = np.where(brain, np.random.default_rng(seed).uniform(30, 40, SHAPE), -1000.0) - 8 * infarct + 40 * (bleed > 0)
    masks = {"intracranial": brain, "old_infarct": nothing, "hemorrhage": bleed, "staining": nothing}
    truth = {key: torch.from_numpy(mask) for key, mask in (masks | ({"infarct": infarct} if ill else {})).items()}
    protocol = replace(draw("followup", 0).acute, pose=Pose(0.0, 0.0, 0.0, (0.0, 0.0, 0.0)))
    return Visit(torch.from_numpy(hu.astype(np.float32)), GRID, protocol, truth, {})


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let blobs be rendered, in this process; return whose, in order."""
    names: list[str] = []

    def render(patient: Patient) -> Visit:
        names.append(patient.name)
        return blob(patient.head.seed % 2**32, patient.stroke is not None)

    def carry_out(orders, folders, work, **_):
        for order in orders:
            if not all((folder / order.file).exists() for folder in folders):
                work(order)

    monkeypatch.setattr(patch_cases, "render_ct", render)
    monkeypatch.setattr(patch_cases, "carry_out", carry_out)
    return names


def test_what_is_stored_is_what_was_made(tmp_path: Path, rendered: list[str]) -> None:
    prepare_patch_cases(PLAN, tmp_path)
    index = read_patch_index(tmp_path)
    assert index.setting == TINY_PICTURES
    assert kind_of(tmp_path) == "phantoms"
    assert len(rendered) == 4
    cases = load_patch_cases(index, index.cases)
    for case, listed in zip(cases, index.cases, strict=True):
        patient = draw(listed.preset, int(listed.id[-4:]), listed.role)  # type: ignore[arg-type]
        visit = blob(patient.head.seed % 2**32, patient.stroke is not None)
        picture, marks = picture_of(visit, listed.id, seed=patient.head.seed, setting=TINY_PICTURES)
        z, y, x = (
            np.flatnonzero(np.isclose(whole, part[0]))[0]
            for whole, part in zip(
                (GRID.origins_mm[:, 2], GRID.origins_mm[0, 1] + np.arange(60), GRID.origins_mm[0, 0] + np.arange(64)),
                case.geometry.origins_mm[:1, ::-1].T,
                strict=True,
            )
        )
        part = tuple(slice(at, at + size) for at, size in zip((z, y, x), case.marks.shape, strict=True))
        np.testing.assert_array_equal(case.images, picture.images[:, *part].astype(np.float16))
        np.testing.assert_array_equal(case.marks, marks.bits[part])
        np.testing.assert_array_equal(case.blood, marks.blood[part])
        assert (case.marks & BRAIN > 0).sum() == picture.brain.sum()
        assert (case.marks & INFARCT > 0).sum() == (marks.bits & INFARCT > 0).sum()
        ill = listed.preset == "followup"
        assert listed.infarct_ml == pytest.approx(volume_ml(marks.bits & INFARCT > 0, picture.geometry), abs=1e-3)
        assert listed.blood_ml == pytest.approx(0.08 if ill else 0.0)
        assert (listed.severity, case.severity) == (("intermediate",) * 2 if ill else (None, None))
        assert listed.mean_hu == (pytest.approx(27, abs=0.5) if ill else None)
    assert index.counts["training_cases"] == 3
    assert index.counts["training_cases_intermediate"] == 2
    assert index.counts["validation_cases_with_blood"] == 1
    assert index.counts["validation_cases_healthy"] == 0


def test_a_case_is_cut_to_the_brain_with_room_for_turned_patches(tmp_path: Path) -> None:
    """Half the diagonal of a patch."""
    assert np.hypot(9.5, 9.5) <= ROOM_PX
    case = load_patch_cases(index := read_patch_index(write_patches(tmp_path / "cases")), index.cases[:1])[0]
    y, x = (np.flatnonzero((case.marks & BRAIN > 0).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    whole, _ = blob_head(0)
    rows, columns = (np.flatnonzero(whole.brain.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    assert (y[0], x[0]) == (min(ROOM_PX, rows[0]), min(ROOM_PX, columns[0]))
    assert len(y) == len(rows)


@pytest.mark.usefixtures("rendered")
def test_a_folder_is_continued_and_not_mixed(tmp_path: Path, rendered: list[str]) -> None:
    prepare_patch_cases(replace(PLAN, shares=(PhantomShare("mimics", 1, 0),)), tmp_path)
    rendered.clear()
    prepare_patch_cases(PLAN, tmp_path)
    assert len(rendered) == 3
    assert len(read_patch_index(tmp_path).cases) == 4
    with pytest.raises(BadRequest, match="another way"):
        prepare_patch_cases(replace(PLAN, setting=PAPER_PATCHES), tmp_path)


def test_what_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="index"):
        read_patch_index(tmp_path)
    folder = write_patches(tmp_path / "cases")
    index = read_patch_index(folder)
    path = folder / index.cases[0].file
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(UnreadableInput, match="damaged"):
        load_patch_cases(index, index.cases)
    with np.load(folder / index.cases[1].file) as stored:
        parts = {name: stored[name] for name in stored.files}
    np.savez(path, **{**parts, "images": parts["images"][:1]})
    with pytest.raises(UnreadableInput, match="shape"):
        load_patch_cases(index, index.cases)
    path.unlink()
    with pytest.raises(UnreadableInput, match="1 of 10"):
        read_patch_index(folder)
    path.write_bytes(whole)
    listed = folder / "cases.json"
    data = json.loads(listed.read_text())
    for changed in ({"setting": {"name": "x"}}, {"cases": [{"file": "x"}]}):
        listed.write_text(json.dumps(data | changed))
        with pytest.raises(UnreadableInput):
            read_patch_index(folder)


@pytest.mark.slow
def test_marks_of_a_phantom_lie_on_its_infarct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the stroke's side, darker than its mirrored place, and as large as in the head; fluid takes none of it."""
    patient = draw("followup", 0)
    assert patient.stroke is not None
    visit = render_ct(patient)
    monkeypatch.setattr(patch_cases, "render_ct", lambda _: visit)
    order = Order("followup", 0, "train")
    patch_cases._prepare(order, folder=tmp_path, setting=EVERYDAY_PATCHES)
    listed = patch_cases._listed(tmp_path, order)
    with np.load(tmp_path / order.file) as stored:
        images, marks = stored["images"].astype(np.float32), stored["marks"]
        geometry = Geometry(
            stored["origins_mm"],
            stored["directions"][:, 0],
            stored["directions"][:, 1],
            (1.0, 1.0),
            marks.shape[1:],
        )
    infarct = marks & INFARCT > 0
    plane = patch_cases.midplane_of(visit.protocol.pose.matrix())
    left = plane.left_mask(geometry)
    assert (left[infarct].mean() > 0.97) == (patient.stroke.side == "left")
    assert (images[0] - images[1])[infarct].mean() < -0.2
    assert (marks & TISSUE > 0)[infarct].mean() > 0.98
    assert listed.severity == patient.stratum["severity"]
    assert listed.infarct_ml == pytest.approx(visit.volumes_ml["infarct"], rel=0.03)
