"""Prepared tiles: one array file, continued to the same bytes, read back by role; damage and mixing are refused."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from infarct.errors import BadRequest, UnreadableInput
from infarct.phantom import Patient, Pose, Visit, draw, render_ct
from infarct.preprocess.tile_input import EVERYDAY, PAPER, cut_tiles, mirrored_places, tile_shares
from infarct.training import tile_cases
from infarct.training.cases import Order, PhantomShare, kind_of
from infarct.training.tile_cases import MARGIN_PX, TILES, TilePlan, prepare_tile_cases, prepare_tiles_in_settings
from infarct.training.tile_store import load_pictures, open_tiles, read_tile_index
from infarct.volume import Geometry

TINY = replace(EVERYDAY, size_px=12)
SHAPE = (5, 72, 80)
GRID = Geometry.regular(SHAPE, (5.0, 2.0, 2.0), origin_mm=(-79.0, -71.0, 0.0))
PLAN = TilePlan((PhantomShare("hyperacute", 2, 1), PhantomShare("mimics", 1, 1)), TINY, tiles_a_case=20)


@cache
def blob(seed: int, ill: bool) -> Visit:
    """Return a scan of an ellipse of noise with an infarct on the left, and an old one on the right in all heads."""
    _, row, column = np.indices(SHAPE)
    brain = ((row - 35.5) / 30) ** 2 + ((column - 39.5) / 28) ** 2 < 1
    infarct, old, nothing = np.zeros((3, *SHAPE), dtype=bool)
    infarct[1:4, 20:40, 48:60] = ill
    old[2, 44:58, 20:32] = True
    hu = np.where(brain, np.random.default_rng(seed).uniform(20, 50, SHAPE), -1000.0) - 8 * infarct - 15 * old
    masks = {"intracranial": brain, "old_infarct": old, "hemorrhage": nothing, "staining": nothing}
    truth = {key: torch.from_numpy(mask) for key, mask in (masks | ({"infarct": infarct} if ill else {})).items()}
    upright = Pose(0.0, 0.0, 0.0, (0.0, 0.0, 0.0))
    protocol = replace(draw("hyperacute", 0).acute, pose=upright)
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

    monkeypatch.setattr(tile_cases, "render_ct", render)
    monkeypatch.setattr(tile_cases, "carry_out", carry_out)
    return names


def test_what_is_stored_is_what_was_cut(tmp_path: Path, rendered: list[str]) -> None:
    prepare_tile_cases(PLAN, tmp_path)
    index = read_tile_index(tmp_path)
    assert index.setting == TINY
    assert kind_of(tmp_path) == "phantoms"
    assert [case.role for case in index.cases] == ["train"] * 3 + ["validation"] * 2
    assert len(rendered) == 5
    whole = np.load(tmp_path / TILES)
    assert whole.dtype == np.float16
    assert whole.shape == (100, 5, 12 + 2 * MARGIN_PX, 12 + 2 * MARGIN_PX)
    training, validation = open_tiles(index, "train"), open_tiles(index, "validation")
    np.testing.assert_array_equal(np.concatenate([training.tiles, validation.tiles]), whole)
    for stored in (training, validation):
        for number, case in enumerate(stored.cases):
            mine = stored.case == number
            with np.load(tmp_path / case.file) as file:
                np.testing.assert_array_equal(stored.tiles[mine], file["tiles"])
            assert stored.infarct[mine].sum() == case.infarct
            assert stored.from_healthy[mine].sum() == case.healthy
            assert case.healthy >= 0.4 * case.tiles
        assert not (stored.infarct & stored.from_healthy).any()
    assert len(open_tiles(index, "test").tiles) == 0
    assert index.counts == {
        "training_cases": 3,
        "training_cases_with_infarct": 2,
        "training_tiles": 60,
        "training_tiles_infarct": 10,
        "training_tiles_healthy_on_both_sides": sum(case.healthy for case in training.cases),
        "validation_cases": 2,
        "validation_cases_with_infarct": 1,
        "validation_tiles": 40,
        "validation_tiles_infarct": 5,
        "validation_tiles_healthy_on_both_sides": sum(case.healthy for case in validation.cases),
    }


@pytest.mark.usefixtures("rendered")
def test_pictures_of_validation_cases_give_the_same_tiles(tmp_path: Path) -> None:
    prepare_tile_cases(PLAN, tmp_path)
    index = read_tile_index(tmp_path)
    stored = open_tiles(index, "validation")
    pictures = load_pictures(index)
    assert [picture.id for picture in pictures] == [case.id for case in stored.cases]
    assert [picture.preset for picture in pictures] == ["hyperacute", "mimics"]
    assert [bool(picture.infarct.any()) for picture in pictures] == [True, False]
    for number, one in enumerate(pictures):
        with np.load(tmp_path / stored.cases[number].file) as file:
            places = file["places"].astype(np.intp)
        infarct = tile_shares(one.infarct, places, one.picture.tile_px) >= 0.5
        np.testing.assert_array_equal(infarct, stored.infarct[stored.case == number])
        cut = cut_tiles(one.picture, places, margin_px=MARGIN_PX)
        np.testing.assert_allclose(cut, stored.tiles[stored.case == number], atol=4e-3)
        assert one.picture.setting == TINY
        across, inside = mirrored_places(one.picture, places)
        old = tile_shares(one.infarct, across[inside], one.picture.tile_px)
        assert (old >= 0.5).any() == (number == 0)


@pytest.mark.usefixtures("rendered")
def test_a_picture_is_cut_to_what_tiles_of_its_brain_show(tmp_path: Path) -> None:
    """The crop begins at a tile of the whole, so that the regular grid is the same."""
    order = Order("hyperacute", 0, "validation")
    made = {}
    for setting in (TINY, replace(TINY, field_tiles=1.0)):
        folder = tmp_path / str(setting.field_tiles)
        prepare_tile_cases(replace(PLAN, shares=(PhantomShare("hyperacute", 0, 1),), setting=setting), folder)
        (made[setting.field_tiles],) = (one.picture for one in load_pictures(read_tile_index(folder)))
        with np.load(folder / order.file) as file:
            places, tiles = file["places"].astype(np.intp), file["tiles"]
        offset = (made[setting.field_tiles].geometry.origins_mm[0] - GRID.origins_mm[0]) / 2
        assert (np.rint(offset[:2]) % made[setting.field_tiles].tile_px == 0).all()
        moved = places - [0, round(offset[1]), round(offset[0])]
        cut = cut_tiles(made[setting.field_tiles], moved, margin_px=MARGIN_PX)
        np.testing.assert_allclose(cut, tiles, atol=4e-3)
    assert made[1.0].brain.size < made[4.0].brain.size == 5 * 72 * 80


def test_a_folder_is_continued_to_the_same_bytes(tmp_path: Path, rendered: list[str]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    prepare_tile_cases(PLAN, whole)
    prepare_tile_cases(replace(PLAN, shares=(PhantomShare("mimics", 1, 0),)), parts)
    assert len(read_tile_index(parts).cases) == 1
    rendered.clear()
    prepare_tile_cases(PLAN, parts)
    assert len(rendered) == 4
    (parts / "hyperacute-train-00001.npz").unlink()
    prepare_tile_cases(PLAN, parts)
    prepare_tile_cases(PLAN, parts)
    assert len(rendered) == 5
    assert sorted(file.name for file in parts.iterdir()) == sorted(file.name for file in whole.iterdir())
    for file in whole.iterdir():
        if file.suffix != ".npz":  # these hold the time of writing
            assert file.read_bytes() == (parts / file.name).read_bytes(), file.name


@pytest.mark.usefixtures("rendered")
def test_cases_prepared_in_another_way_are_refused(tmp_path: Path) -> None:
    nothing = replace(PLAN, shares=())
    prepare_tile_cases(replace(PLAN, shares=(PhantomShare("mimics", 1, 0),)), tmp_path)
    for other in (replace(nothing, setting=PAPER), replace(nothing, tiles_a_case=21)):
        with pytest.raises(BadRequest, match="another way"):
            prepare_tile_cases(other, tmp_path)


@pytest.mark.usefixtures("rendered")
def test_what_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="index"):
        read_tile_index(tmp_path)
    prepare_tile_cases(PLAN, tmp_path)
    index = read_tile_index(tmp_path)
    path = tmp_path / TILES
    content = path.read_bytes()
    for damaged in (content[:-10], content[:7], b"", b"no array"):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableInput, match="damaged"):
            open_tiles(index, "train")
    with path.open("wb") as file:
        np.save(file, np.zeros((99, 3, 20, 20), dtype=np.float16))  # a tile less than is listed
    with pytest.raises(UnreadableInput, match="damaged"):
        open_tiles(index, "train")
    picture = tmp_path / "hyperacute-validation-00000-picture.npy"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-1])
    with pytest.raises(UnreadableInput, match="damaged"):
        load_pictures(index)
    picture.write_bytes(whole)
    masks = tmp_path / "hyperacute-validation-00000-masks.npz"
    masks.write_bytes(masks.read_bytes()[:-40])
    with pytest.raises(UnreadableInput, match="damaged"):
        load_pictures(index)
    masks.unlink()
    with pytest.raises(UnreadableInput, match="1 of 5"):
        read_tile_index(tmp_path)
    case = tmp_path / "mimics-train-00000.npz"
    case.write_bytes(case.read_bytes()[:-100])
    with pytest.raises(UnreadableInput, match="a prepared case is damaged"):
        prepare_tile_cases(PLAN, tmp_path)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.usefixtures("rendered")
def test_an_index_of_other_cases_is_refused(tmp_path: Path) -> None:
    prepare_tile_cases(PLAN, tmp_path)
    index = tmp_path / "cases.json"
    data = json.loads(index.read_text())
    for changed in ({"setting": {"name": "x"}}, {"cases": [{"file": "x"}]}):
        index.write_text(json.dumps(data | changed))
        with pytest.raises(UnreadableInput):
            read_tile_index(tmp_path)


@pytest.mark.slow
def test_tiles_of_a_phantom_lie_on_its_infarct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Infarct tiles are on the stroke's side, where its signal is; mirrored tiles show the same anatomy without it."""
    patient = draw("hyperacute", 10)
    assert patient.stroke is not None
    assert patient.stroke.infarct_ml > 50
    visit = render_ct(patient)
    monkeypatch.setattr(tile_cases, "render_ct", lambda _: visit)
    order = Order("hyperacute", 10, "train")
    tile_cases._prepare(order, plan=TilePlan((), EVERYDAY), places={tmp_path: EVERYDAY})
    with np.load(tmp_path / order.file) as stored:
        tiles, places, groups = stored["tiles"].astype(np.float32), stored["places"], stored["groups"]
    assert groups[0] == 16
    assert groups[1] >= 8
    plane = tile_cases.midplane_of(visit.protocol.pose.matrix())
    centres = visit.geometry.index_to_world(places[:16] + np.array([0.0, 9.0, 9.0]))
    assert ((centres @ plane.normal > plane.offset_mm) == (patient.stroke.side == "left")).all()
    assert visit.signal_hu is not None
    signal = [float(visit.signal_hu[k, y : y + 18, x : x + 18].mean()) for k, y, x in places.tolist()]
    assert np.mean(signal[:16]) < -1
    assert np.abs(signal[16:]).max() < 0.05
    ill, across = tiles[:16], tiles[16 : 16 + groups[1]]
    alike = [max(np.corrcoef(a[0].ravel(), b[1, :, ::-1].ravel())[0, 1] for a in ill) for b in across]
    assert min(alike) > 0.8


def test_settings_on_one_grid_show_the_same_tiles(tmp_path: Path, rendered: list[str]) -> None:
    """Each patient is rendered once; a folder made with others is as one made alone, where the tiles are its own."""
    larger = replace(TINY, name="larger", size_px=24)
    alone = replace(TINY, name="alone", field_tiles=1.0, mirror=False, differences=())
    coarse = replace(TINY, name="coarse", tile_mm=12.0)
    places = {tmp_path / setting.name: setting for setting in (TINY, larger, alone, coarse)}
    prepare_tiles_in_settings(PLAN, places)
    assert len(rendered) == 5
    files = [np.load(folder / "hyperacute-train-00000.npz") for folder in places]
    for same in files[1:3]:
        np.testing.assert_array_equal(same["places"], files[0]["places"])
        np.testing.assert_array_equal(same["groups"], files[0]["groups"])
    assert not np.array_equal(files[3]["places"], files[0]["places"])
    assert [file["tiles"].shape[1:] for file in files] == [(5, 20, 20), (5, 32, 32), (1, 20, 20), (5, 20, 20)]
    prepare_tile_cases(replace(PLAN, setting=coarse), tmp_path / "own")
    assert (tmp_path / "own" / TILES).read_bytes() == (tmp_path / "coarse" / TILES).read_bytes()
    with pytest.raises(BadRequest, match="another way"):
        prepare_tile_cases(replace(PLAN, setting=larger), tmp_path / "larger")  # whose tiles were chosen for another
