"""A part of prepared tiles: some cases in other roles, perhaps with fewer channels; nothing is copied."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infarct.errors import UnreadableInput
from infarct.training.cases import kind_of
from infarct.training.tile_store import PartRole, is_seen_in, list_tiles, open_tiles, read_tile_index
from unit.training.prepared_tiles import TINY, write_tiles

ROLES: dict[str, PartRole] = {"p6": "train", "p1": "test", "p0": "train", "p3": "test", "p4": "train"}
MIRRORED = replace(TINY, name="mirrored", differences=())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles") / "whole")


@pytest.mark.parametrize("setting", [TINY, MIRRORED, replace(MIRRORED, name="own", mirror=False)])
def test_a_part_holds_the_tiles_of_its_cases(whole: Path, tmp_path: Path, setting) -> None:
    source = read_tile_index(whole)
    part = list_tiles(source, tmp_path / "deep" / "part", roles=ROLES, setting=setting)
    assert kind_of(part) == "phantoms"
    index = read_tile_index(part)
    assert index.setting == setting
    assert sum(file.stat().st_size for file in part.iterdir()) < 5_000
    begins = dict(zip((case.id for case in source.cases), source.first, strict=True))
    file = np.load(whole / "tiles.npy")
    for role, names in (("train", ["p0", "p4", "p6"]), ("test", ["p1", "p3"]), ("validation", [])):
        stored = open_tiles(index, role)
        assert [case.id for case in stored.cases] == names
        assert stored.tiles.shape == (len(stored.infarct), setting.channels, 40, 40)
        for number, case in enumerate(stored.cases):
            rows = np.flatnonzero(stored.case == number)
            expected = file[begins[case.id] : begins[case.id] + case.tiles, : setting.channels]
            np.testing.assert_array_equal(stored.tiles[rows], expected)
            assert stored.infarct[rows].sum() == case.infarct
            np.testing.assert_array_equal(stored.tiles[rows[::-2]], expected[::-2])


def test_which_settings_are_seen_in_which() -> None:
    own = replace(MIRRORED, mirror=False)
    order = (own, MIRRORED, TINY)
    assert [[is_seen_in(one, stored) for stored in order] for one in order] == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
    ]
    assert not is_seen_in(replace(own, size_px=33), TINY)
    assert not is_seen_in(replace(own, field_tiles=1.0), TINY)


def test_what_does_not_fit_is_refused(whole: Path, tmp_path: Path) -> None:
    source = read_tile_index(whole)
    with pytest.raises(ValueError, match="cut so"):
        list_tiles(source, tmp_path / "part", roles=ROLES, setting=replace(TINY, size_px=33))
    assert not (tmp_path / "part").exists()
    part = list_tiles(source, tmp_path / "part", roles=ROLES, setting=TINY)
    index = part / "cases.json"
    data = json.loads(index.read_text())
    for changed in (
        {"cases": [{**data["cases"][0], "healthy": 99}]},
        {"setting": {**data["setting"], "size_px": 33}},
    ):
        index.write_text(json.dumps(data | changed))
        with pytest.raises(UnreadableInput):
            read_tile_index(part)
    index.write_text(json.dumps(data))
    (part / "part.json").write_text("{}")
    with pytest.raises(UnreadableInput, match="damaged"):
        read_tile_index(part)


def test_a_part_of_a_part_is_one_of_the_whole(whole: Path, tmp_path: Path) -> None:
    source = read_tile_index(list_tiles(read_tile_index(whole), tmp_path / "part", roles=ROLES, setting=MIRRORED))
    again = list_tiles(source, tmp_path / "again", roles={"p6": "test"}, setting=MIRRORED)
    (case,) = read_tile_index(again).of("test")
    assert case.id == "p6"
