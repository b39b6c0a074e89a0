"""Converted models: kept, found again, rebuilt when damaged, and never a reason to fail."""

from pathlib import Path

import numpy as np
import pytest

from infarct.runtime import converted, make_engine
from infarct.runtime.openvino_import import load_openvino
from infarct.types import Float32Array
from infarct.weights import WeightSet
from unit.runtime.mock_weights import random_weights

BATCH = np.random.default_rng(0).random((1, 1, 8, 16, 16), dtype=np.float32)


def answer(weights: WeightSet, cache: Path | None) -> Float32Array:
    return make_engine(weights, device="cpu", engine="openvino", threads=1, cache=cache).run(BATCH)


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "models").iterdir())


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every conversion."""
    made: list[str] = []
    real = converted._convert

    def counted(weights: WeightSet, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
        made.append(f"{weights.name} {shape}")
        return real(weights, shape)

    monkeypatch.setattr(converted, "_convert", counted)
    return made


def test_converted_once(mock_weights: WeightSet, tmp_path: Path, conversions: list[str]) -> None:
    first, second = answer(mock_weights, tmp_path), answer(mock_weights, tmp_path)
    assert len(conversions) == 1
    assert first.tobytes() == second.tobytes()
    assert len(entries(tmp_path)) == 1


@pytest.mark.slow
def test_other_weights_and_shapes_are_other_entries(
    mock_weights: WeightSet, tmp_path: Path, conversions: list[str]
) -> None:
    answer(mock_weights, tmp_path)
    other = answer(random_weights(7), tmp_path)
    engine = make_engine(mock_weights, device="cpu", engine="openvino", threads=1, cache=tmp_path)
    engine.run(BATCH[..., :8])
    assert len(conversions) == len(entries(tmp_path)) == 3
    assert np.abs(other - engine.run(BATCH)).max() > 0.01


def test_a_change_of_the_network_code_is_another_entry(
    mock_weights: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = converted._key(mock_weights, (1, 1, 8, 16, 16))
    (tmp_path / "se_res_unet.py").write_text("another network")
    monkeypatch.setattr(converted, "NETWORK_SOURCES", tmp_path)
    assert converted._key(mock_weights, (1, 1, 8, 16, 16)) != before


def test_a_damaged_entry_is_made_anew(mock_weights: WeightSet, tmp_path: Path, conversions: list[str]) -> None:
    expected = answer(mock_weights, tmp_path)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1])
    assert answer(mock_weights, tmp_path).tobytes() == expected.tobytes()
    assert answer(mock_weights, tmp_path).tobytes() == expected.tobytes()
    assert len(conversions) == 2
    assert entries(tmp_path) == [entry]


def test_every_damage_is_seen(mock_weights: WeightSet, tmp_path: Path) -> None:
    core = load_openvino().Core()
    answer(mock_weights, tmp_path)
    (entry,) = entries(tmp_path)
    assert converted._read_entry(core, entry) is not None
    whole = entry.read_bytes()
    flips = [bytes([*whole[:place], whole[place] ^ 1, *whole[place + 1 :]]) for place in (0, 33, 2_000, len(whole) - 1)]
    for damaged in (b"", whole[:10], whole[:-1], bytes(len(whole)), *flips):
        entry.write_bytes(damaged)
        assert converted._read_entry(core, entry) is None


def test_an_entry_with_a_right_digest_and_a_wrong_graph_is_made_anew(
    mock_weights: WeightSet, tmp_path: Path, conversions: list[str]
) -> None:
    answer(mock_weights, tmp_path)
    (entry,) = entries(tmp_path)
    converted._write_entry(entry, b"<net>no graph</net>", b"")
    answer(mock_weights, tmp_path)
    assert len(conversions) == 2


def test_a_cache_that_cannot_be_written_is_no_obstacle(mock_weights: WeightSet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert answer(mock_weights, tmp_path / "file").shape == (1, 2, 8, 16, 16)


def test_the_users_cache_is_the_default(
    mock_weights: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert converted.user_cache() == tmp_path / "infarct"
    answer(mock_weights, None)
    assert len(entries(tmp_path / "infarct")) == 1


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")],
)
def test_each_system_has_its_own_place(platform: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(converted.sys, "platform", platform)
    assert converted.user_cache() == Path.home() / expected / "infarct"
