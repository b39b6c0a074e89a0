"""Regions drawn on a plain head by an engine that reads them off the coordinates: grids, sides, weights."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infarct.anatomy import region_label
from infarct.atlas.registration import Registration
from infarct.errors import BadRequest
from infarct.networks import build
from infarct.networks.vb_net import VbNetConfig
from infarct.preprocess.cascade_input import CascadeSetting
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.noise import Noise
from infarct.preprocess.region_input import EVERYDAY
from infarct.systems.region_cascade import Cascade
from infarct.systems.region_choice import choose_regions
from infarct.systems.regions_vbnet import RegionDrawer, draw_regions, load_drawer, prepare, settings_of
from infarct.types import Float32Array
from infarct.volume import Acquisition, Geometry, Scan, Source
from infarct.weights import WeightSet, save_weights

SETTING = CascadeSetting((1, 3, 3), (12, 24, 24), (12, 48, 48), prior=False)
GEOMETRY = Geometry.regular((14, 60, 64), (3.0, 1.5, 1.5), origin_mm=(-49, -40, -10))
CENTRE, RADIUS = np.array([20.0, 5.0, 8.0]), 9.0


class Ball:
    """An engine that calls M3 what lies within 9 mm of (20, 5, 8) of the atlas, on either side of the plane."""

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, batch: Float32Array) -> Float32Array:
        away = np.sqrt(((100 * batch[0, 1:] - CENTRE[:, None, None, None]) ** 2).sum(axis=0))
        logits = np.full((12, *away.shape), -20, np.float32)
        logits[0], logits[7], logits[-1] = 0, 4 * (RADIUS - away), 10 * (batch[0, 0] > 0.1)
        return logits[None]


@pytest.fixture(scope="module")
def head() -> Head:
    """A brain of 30 HU whose midsagittal plane is x = 1, and whose atlas is a seventh larger and 3 mm off along y."""
    index = np.moveaxis(np.indices(GEOMETRY.shape_zyx), 0, -1)
    points = GEOMETRY.index_to_world(index)
    brain = (np.abs((points - [1, 4, 10]) / [36, 34, 30]) ** 2).sum(axis=-1) < 1
    hu = np.where(brain, 30, -1000).astype(np.float32)
    scan_to_atlas = np.diag([1 / 0.875] * 3 + [1.0])
    scan_to_atlas[:3, 3] = -1 / 0.875, 3, 0
    nothing = np.zeros(brain.shape, np.uint8)
    return Head(
        hu=hu,
        geometry=GEOMETRY,
        brain=brain,
        skull_closed=True,
        fluid=np.zeros_like(brain),
        registration=Registration(scan_to_atlas, 0.9, 0.95, 1.0, True),
        midplane=Midplane(np.array([1.0, 0, 0]), 1.0),
        mirrored_hu=hu,
        noise=Noise(3.0, 1.0),
        aspects_regions=nothing,
        region_ml=(0.0,) * 21,
        territories=nothing,
    )


@pytest.fixture(scope="module")
def scan(head: Head) -> Scan:
    return Scan(head.hu, GEOMETRY, Acquisition(), Source("nifti"))


@pytest.fixture(scope="module")
def drawer() -> RegionDrawer:
    weights = WeightSet("regions", "fake", "vb_net", {}, {}, {"a": np.zeros(1, np.float16)}, {})
    return RegionDrawer(weights, Cascade(Ball(), Ball(), SETTING), EVERYDAY)


def test_draws_balls_where_the_atlas_says(head: Head, scan: Scan, drawer: RegionDrawer) -> None:
    """Truth by hand: a ball of 9 * .875 mm at x = 1 +- 17.5, y = (5 - 3) * .875, z = 7 mm."""
    labels = draw_regions(scan, head, drawer).labels
    points = GEOMETRY.index_to_world(np.moveaxis(np.indices(GEOMETRY.shape_zyx), 0, -1))
    for side, x in (("left", 18.5), ("right", -16.5)):
        truth = np.linalg.norm(points - [x, 1.75, 7.0], axis=-1) < RADIUS * 0.875
        own = labels == region_label("M3", side)  # type: ignore[arg-type]
        assert 2 * (own & truth).sum() / (own.sum() + truth.sum()) > 0.8
        np.testing.assert_allclose(points[own].mean(axis=0), [x, 1.75, 7.0], atol=0.6)
    assert set(np.unique(labels)) == {0, 7, 17}


def test_an_unreliable_registration_gives_no_coordinates(head: Head, scan: Scan, drawer: RegionDrawer) -> None:
    lost = replace(head, registration=replace(head.registration, is_reliable=False))
    given, _ = prepare(scan, lost, drawer)
    assert given.to_atlas is None
    choice = choose_regions(scan, lost, drawer)  # nothing lies near the place that the engine looks for
    assert (choice.drawn, choice.method, choice.labels.any()) == (None, "atlas", False)


def test_the_input_is_symmetric_about_the_plane(head: Head, scan: Scan, drawer: RegionDrawer) -> None:
    given, grid = prepare(scan, head, drawer)
    assert given.image.min() == 0
    assert np.median(given.image[given.inside]) == pytest.approx(1)  # 30 HU are the middle of the window
    middle = grid.index_to_world([0, 0, (given.image.shape[2] - 1) / 2])
    assert middle[0] == pytest.approx(1.0)


def stored(**changes: Any) -> WeightSet:
    config = asdict(VbNetConfig(4, 12, base=2, strides=((1, 2, 2),), blocks=(1, 1)))
    state = build("vb_net", config).state_dict()
    tensors = {f"{stage}.{name}": value.half().numpy() for stage in ("coarse", "fine") for name, value in state.items()}
    settings = json.loads(
        json.dumps({"input": asdict(EVERYDAY), "cascade": asdict(SETTING), "trained_on": "2 phantoms"})
    )
    given = {"system": "regions", "settings": settings, **changes}
    return WeightSet(name="tiny", network="vb_net", network_config=config, tensors=tensors, card={}, **given)


def test_loads_both_networks_from_one_file(tmp_path: Path) -> None:
    path = save_weights(stored(), tmp_path / "w.safetensors")
    loaded = load_drawer(path, device="cpu", engine="torch", threads=1)
    assert (loaded.cascade.setting, loaded.grid) == (SETTING, EVERYDAY)
    batch = np.zeros((1, 4, 4, 8, 8), np.float32)
    assert loaded.cascade.coarse.run(batch).shape == loaded.cascade.fine.run(batch).shape == (1, 12, 4, 8, 8)


def test_refuses_weights_that_do_not_fit(tmp_path: Path) -> None:
    other = save_weights(stored(system="segment"), tmp_path / "segment.safetensors")
    with pytest.raises(BadRequest, match="for segment"):
        load_drawer(other)
    whole = stored()
    for settings in ({}, {**whole.settings, "cascade": {"coordinates": True}}, {**whole.settings, "input": None}):
        with pytest.raises(BadRequest, match="lack a setting"):
            settings_of(settings, whole.network_config)
    sided = {**whole.settings, "cascade": {**whole.settings["cascade"], "sided": True}}
    with pytest.raises(BadRequest, match="do not fit"):
        settings_of(sided, whole.network_config)
