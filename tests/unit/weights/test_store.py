"""Weight files: what is saved is loaded, and whatever is wrong with a file is refused in one line."""

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from infarct.errors import BadRequest
from infarct.weights import WeightSet, load_weights, save_weights, ship, shipped, store

FIELDS = ("system", "name", "network", "network_config", "settings", "card", "sha256")


def make_weights(**changes: Any) -> WeightSet:
    generator = np.random.default_rng(0)
    tensors = {
        "second": generator.normal(size=(2, 3, 3)).astype(np.float32),
        "first": generator.normal(size=4).astype(np.float32),
        "single": np.array(0.5),
    }
    fields: dict[str, Any] = {
        "system": "segment",
        "name": "segment-test",
        "network": "se_res_unet",
        "network_config": {"base": 4, "strides": [[1, 2, 2]]},
        "settings": {"tile_zyx": [16, 32, 32], "threshold": [0.5]},
        "card": {"summary": "Random numbers – for tests."},
    }
    return WeightSet(**{**fields, "tensors": tensors, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of shipped weights with an empty manifest."""
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = make_weights()
    path = save_weights(made, tmp_path / "new" / "w.safetensors")
    loaded = load_weights(path)
    for field in FIELDS:
        assert getattr(loaded, field) == getattr(made, field)
    assert list(loaded.tensors) == ["first", "second", "single"]
    for key, values in made.tensors.items():
        assert loaded.tensors[key].dtype == np.float16
        np.testing.assert_array_equal(loaded.tensors[key], values)
    assert list(path.parent.iterdir()) == [path]  # nothing is left beside it


def test_a_path_given_as_text_is_a_file(tmp_path: Path) -> None:
    path = save_weights(make_weights(), tmp_path / "w.safetensors")
    assert load_weights(str(path)).name == "segment-test"


def test_tensors_are_kept_as_they_are_stored() -> None:
    """One third is no float16: the set holds the rounded number, read-only, before it is saved."""
    tensors = make_weights(tensors={"a": np.array([1 / 3])}).tensors
    assert tensors["a"].tolist() == [0.333251953125]
    assert not tensors["a"].flags.writeable


def make_exact(**changes: Any) -> WeightSet:
    tensors = {"a": np.array([1 / 3, 1e9], np.float32), "b": np.array([40_001], np.int32), "c": np.zeros(2, np.int16)}
    return make_weights(exact=True, tensors={**tensors, **changes})


def test_exact_weights_stay_as_they_are(tmp_path: Path) -> None:
    """One third as float32 and a count above 2048 are no float16."""
    made = make_exact()
    loaded = load_weights(save_weights(made, tmp_path / "w"))
    assert (loaded.exact, loaded.sha256) == (True, made.sha256)
    for key, values in made.tensors.items():
        assert loaded.tensors[key].dtype == values.dtype
        np.testing.assert_array_equal(loaded.tensors[key], values)
        assert not values.flags.writeable
    assert loaded.tensors["a"][0] == np.float32(1 / 3)
    assert not load_weights(save_weights(make_weights(), tmp_path / "w")).exact


@pytest.mark.parametrize(
    "values", [np.zeros(2), np.zeros(2, np.float16), np.zeros(2, np.int64), np.array([np.nan], np.float32)]
)
def test_what_exact_weights_do_not_hold_is_a_mistake(values: Any) -> None:
    with pytest.raises(ValueError, match="the tensor a holds"):
        make_exact(a=values)


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    first = save_weights(make_weights(), tmp_path / "a").read_bytes()
    other = make_weights(
        tensors=dict(reversed(make_weights().tensors.items())),
        settings={"threshold": [0.5], "tile_zyx": [16, 32, 32]},
    )
    assert save_weights(other, tmp_path / "b").read_bytes() == first
    changed = make_weights(settings={"threshold": [0.4], "tile_zyx": [16, 32, 32]})
    assert changed.sha256 != other.sha256 == make_weights().sha256


@pytest.mark.parametrize(
    "values", [np.array([1e6]), np.array([np.nan]), np.array([1, 2]), np.array([True]), np.array([1j])]
)
def test_values_that_float16_cannot_hold_are_a_mistake(values: Any) -> None:
    with pytest.raises(ValueError, match="the tensor a holds"):
        make_weights(tensors={"a": values})


@pytest.mark.parametrize("card", [{"a": float("nan")}, {"a": np.float32(1)}])
def test_a_card_that_is_not_json_is_a_mistake(card: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        make_weights(card=card)


def test_too_large_weights_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 100)
    with pytest.raises(BadRequest, match="MiB is the limit"):
        save_weights(make_weights(), tmp_path / "w")
    assert not list(tmp_path.iterdir())


def test_weights_too_large_for_the_package_are_not_shipped(folder: Path) -> None:
    large = make_weights(tensors={"a": np.zeros((9, 2**20), np.float16)})
    with pytest.raises(BadRequest, match=r"18\.0 MiB; 16 MiB is"):
        ship(large, default=True, folder=folder)
    assert not shipped(folder=folder)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10 * 2**40)
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(BadRequest, match="larger than the 1 MiB"):
        load_weights(path)


def content_of(weights: WeightSet, tmp_path: Path) -> bytes:
    return save_weights(weights, tmp_path / "whole").read_bytes()


def described(about: str) -> bytes:
    return save({"a": np.zeros(2, np.float16)}, metadata={"infarct": about})


ABOUT = {"format": 1, "system": "s", "name": "n", "network": "w", "network_config": {}, "settings": {}, "card": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        pickle.dumps({"weights": [1.0]}),
        pickle.dumps(list(range(10_000))),
        b"\xff" * 8 + b"{}",
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        save({"a": np.zeros(2, np.float16)}),
        save({"a": np.zeros(2, np.float16)}, metadata={"other": "{}"}),
        described("not JSON"),
        described("[" * 100_000),
        described("{}"),
        described(json.dumps({**ABOUT, "card": []})),
        described(json.dumps({**ABOUT, "system": 3})),
        described(json.dumps({**ABOUT, "format": 2})),
        save({"a": np.zeros(2, np.float32)}, metadata={"infarct": json.dumps(ABOUT)}),
        save({"a": np.array([np.inf], np.float16)}, metadata={"infarct": json.dumps(ABOUT)}),
        save({"a": np.zeros(2, np.float32)}, metadata={"infarct": json.dumps({**ABOUT, "exact": 1})}),
        save({"a": np.zeros(2, np.float64)}, metadata={"infarct": json.dumps({**ABOUT, "exact": True})}),
        save({"a": np.array([np.inf], np.float32)}, metadata={"infarct": json.dumps({**ABOUT, "exact": True})}),
    ],
)
def test_a_file_that_is_not_ours_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret-name"
    path.write_bytes(content)
    with pytest.raises(BadRequest) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "trap.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadRequest):
        load_weights(tmp_path / "trap.safetensors")
    assert not (tmp_path / "sprung").exists()


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    content = content_of(make_weights(), tmp_path)
    for length in range(0, len(content), 7):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(BadRequest):
            load_weights(tmp_path / "cut")


def test_a_flipped_byte_in_the_header_is_refused_or_gives_another_hash(tmp_path: Path) -> None:
    content = bytearray(content_of(make_weights(), tmp_path))
    sound = hashlib.sha256(content).hexdigest()
    refused = 0
    places = range(0, len(content) - 60, 3)
    for place in places:
        damaged = content.copy()
        damaged[place] ^= 0x15
        (tmp_path / "flipped").write_bytes(damaged)
        try:  # a flip may also give another valid file
            assert load_weights(tmp_path / "flipped").sha256 == hashlib.sha256(damaged).hexdigest() != sound
        except BadRequest:
            refused += 1
    assert refused > len(places) / 2


def test_an_unknown_name_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(BadRequest, match=r"shipped are: none$"):
        load_weights("segment-best", folder=folder)
    ship(make_weights(), default=True, folder=folder)
    with pytest.raises(BadRequest, match=r"shipped are: segment-test$"):
        load_weights("segment-best", folder=folder)


@pytest.mark.parametrize("what", ["folder", "pipe", "unreadable"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "thing"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.touch(mode=0)
    with pytest.raises(BadRequest):
        load_weights(path)


def test_shipped_weights_are_found_by_name_and_system(folder: Path) -> None:
    made = make_weights()
    path = ship(made, default=True, folder=folder)
    ship(make_weights(system="aspects", name="aspects-test"), default=False, folder=folder)
    assert path == folder / "segment" / "segment-test.safetensors"
    assert [entry.name for entry in shipped(folder=folder)] == ["aspects-test", "segment-test"]
    (entry,) = shipped("segment", folder=folder)
    assert (entry.sha256, entry.default) == (made.sha256, True)
    assert load_weights("segment-test", folder=folder).sha256 == made.sha256
    assert "Random numbers" in path.with_suffix(".md").read_text()


def test_weights_that_are_not_used_by_themselves_are_named(folder: Path) -> None:
    ship(make_weights(), default=False, folder=folder)
    with pytest.raises(BadRequest, match="unless they are named: --weights segment-test"):
        store.default_weights("segment", folder=folder)
    with pytest.raises(BadRequest, match="no weights for aspects are shipped"):
        store.default_weights("aspects", folder=folder)
    ship(make_weights(name="segment-better"), default=True, folder=folder)
    assert store.default_weights("segment", folder=folder) == "segment-better"


def test_the_card_of_changed_weights_tells_the_hash_of_their_file(folder: Path) -> None:
    changed = replace(make_weights(), card={"summary": "Changed."})
    path = ship(changed, default=True, folder=folder)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in path.with_suffix(".md").read_text()


def test_shipping_again_replaces(folder: Path) -> None:
    ship(make_weights(), default=True, folder=folder)
    ship(make_weights(card={"summary": "Better."}), default=True, folder=folder)
    (entry,) = shipped(folder=folder)
    assert load_weights(entry.name, folder=folder).card == {"summary": "Better."}


@pytest.mark.parametrize("name", ["../escape", "Upper", "a b", "", "a--b", "a/b"])
def test_names_that_are_no_file_names_are_not_shipped(folder: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="lower case with hyphens"):
        ship(make_weights(name=name), default=True, folder=folder)


def test_a_tampered_shipped_file_is_refused(folder: Path) -> None:
    path = ship(make_weights(), default=True, folder=folder)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last bit of a weight: the file stays whole
    path.write_bytes(content)
    assert load_weights(path).name == "segment-test"
    with pytest.raises(BadRequest, match="not the published ones"):
        load_weights("segment-test", folder=folder)


@pytest.mark.parametrize("text", ["", "[1]", '{"a": {}}', '{"a": {"file": "b"}}'])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BadRequest, match="install infarct again"):
        shipped(folder=folder)


def test_what_the_package_ships_is_what_the_manifest_says() -> None:
    for entry in shipped():
        weights = load_weights(entry.name)
        assert (weights.name, weights.system) == (entry.name, entry.system)
        assert (store.SHIPPED_FOLDER / entry.file).with_suffix(".md").is_file()
        assert (store.SHIPPED_FOLDER / entry.file).stat().st_size <= store.MAX_SHIPPED_BYTES


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="could not be written"):
        save_weights(replace(make_weights()), tmp_path / "file" / "w")
