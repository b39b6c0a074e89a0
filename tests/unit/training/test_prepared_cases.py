"""Phantom cases made ready for training: sides, labels, and that a folder is continued and not mixed."""

import json
from pathlib import Path

import numpy as np
import pytest

from infarct.errors import BadRequest
from infarct.phantom import Visit, draw, render_ct
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.segment_input import EVERYDAY, InputSetting
from infarct.training import cases
from infarct.training.cases import PhantomPlan, PhantomShare, labels_on, prepare_phantom_cases, shaken
from infarct.volume import Geometry

PLAN = PhantomPlan((PhantomShare("aspects", 1, 0),), EVERYDAY, thin_share=0.0)


@pytest.fixture(scope="module")
def visit() -> Visit:
    return render_ct(draw("aspects", 0))


@pytest.mark.slow
def test_a_prepared_case_shows_the_infarct_on_its_side(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "render_ct", lambda _: visit)
    (order,) = cases.orders_of(PLAN.shares)
    cases._prepare(order, plan=PLAN, places={tmp_path: EVERYDAY})
    with np.load(tmp_path / order.file) as stored:
        channels, labels, spacing = stored["channels"], stored["labels"], stored["spacing_mm_zyx"]
        about = json.loads(str(stored["about"]))
    stroke = draw("aspects", 0).stroke
    assert stroke is not None
    columns = np.argwhere(labels == cases.ACUTE)[:, 2]
    assert (columns.mean() > labels.shape[2] / 2) == (stroke.side == "left")
    np.testing.assert_array_equal(channels[1], channels[0][:, :, ::-1])
    acute_ml = (labels == cases.ACUTE).sum() * spacing.prod() / 1000
    assert acute_ml == pytest.approx(visit.volumes_ml["infarct"], rel=0.15)
    assert about["id"] == "aspects-train-0000"
    own = channels[0].astype(np.float32)
    assert own[labels == cases.ACUTE].mean() < own[labels == cases.BRAIN].mean()


@pytest.mark.slow
def test_one_rendering_serves_several_inputs(visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins that differ by whole voxels give the same voxels of the brain."""
    rendered = []
    monkeypatch.setattr(cases, "render_ct", lambda patient: rendered.append(patient) or visit)
    (order,) = cases.orders_of(PLAN.shares)
    bare = InputSetting("bare", (5.0, 2.0, 2.0), mirror=False, strip=True, normalisation="min_max", margin_mm=2.0)
    places = {tmp_path / "everyday": EVERYDAY, tmp_path / "bare": bare}
    for folder in places:
        folder.mkdir()
    cases._prepare(order, plan=PLAN, places=places)
    assert len(rendered) == 1
    stored = {folder.name: np.load(folder / order.file) for folder in places}
    assert [one["channels"].shape[0] for one in stored.values()] == [2, 1]
    inside = stored["everyday"]["labels"][2:-2, 5:-5, 5:-5]
    np.testing.assert_array_equal(inside, stored["bare"]["labels"])
    assert not stored["bare"]["channels"][0][inside == cases.OUTSIDE].any()


def test_a_folder_is_continued_but_never_mixed(tmp_path: Path) -> None:
    empty = PhantomPlan((), EVERYDAY, thin_share=0.0)
    index = prepare_phantom_cases(empty, tmp_path)
    assert json.loads(index.read_text())["cases"] == []
    assert prepare_phantom_cases(empty, tmp_path) == index
    other = InputSetting("other", (4.0, 2.0, 2.0), mirror=True, strip=False, normalisation="centred")
    with pytest.raises(BadRequest, match="another way"):
        prepare_phantom_cases(PhantomPlan((), other, thin_share=0.0), tmp_path)


def test_presets_are_mixed_in_order() -> None:
    plan = PhantomPlan((PhantomShare("acute", 4, 2), PhantomShare("healthy", 2, 0)), EVERYDAY)
    orders = cases.orders_of(plan.shares)
    assert len(orders) == 8
    assert {order.preset for order in orders[:3]} == {"acute", "healthy"}
    assert len({order.file for order in orders}) == 8


def test_labels_by_half_a_voxel_and_acute_over_old() -> None:
    fine = Geometry.regular((4, 8, 8), (1.0, 1.0, 1.0), origin_mm=(0.5, 0.5, 0.5))
    coarse = Geometry.regular((1, 2, 2), (4.0, 4.0, 4.0), origin_mm=(2.0, 2.0, 2.0))
    acute, old = np.zeros((2, 4, 8, 8), dtype=bool)
    acute[:, :4, :4] = True
    old[:, :, :] = True
    labels = labels_on(coarse, fine, brain=np.array([[[True, True], [True, False]]]), acute=acute, old=old)
    np.testing.assert_array_equal(labels, [[[cases.ACUTE, cases.OLD], [cases.OLD, cases.OUTSIDE]]])


def test_a_shaken_plane_stays_near() -> None:
    random = np.random.Generator(np.random.Philox(1))
    plane = Midplane(np.array([1.0, 0.0, 0.0]), 4.0)
    planes = [shaken(plane, random) for _ in range(200)]
    tilts = np.degrees([np.arccos(np.clip(found.normal[0], -1, 1)) for found in planes])
    assert 0.8 < tilts.mean() < 1.8
    assert 0.8 < np.std([found.offset_mm for found in planes]) < 1.2
