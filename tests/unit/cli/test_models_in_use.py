"""Which systems take part: those given, those shipped, and one alone that scores ASPECTS."""

from pathlib import Path

import numpy as np
import pytest

from infarct.cli.models_in_use import (
    SYSTEM_CHOICES,
    DeviceChoice,
    RegionsChoice,
    check_systems,
    load_models,
    named_systems,
)
from infarct.errors import BadRequest
from infarct.weights import WeightSet, save_weights, ship, store
from unit.systems.made_patch_weights import dark_weights, dense_weights
from unit.systems.tiny_localizer import tiny_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of shipped weights that stands in for the package's."""
    (tmp_path / "manifest.json").write_text("{}")
    for function in (store.shipped, store.load_weights):
        monkeypatch.setitem(function.__kwdefaults__, "folder", tmp_path)  # type: ignore[arg-type]
    return tmp_path


def made(system: str) -> WeightSet:
    return WeightSet(system, f"{system}-x", "none", {}, {}, {"a": np.zeros(3)}, {})


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Path]:
    """Return the user's own weights by system."""
    return {system: save_weights(made(system), tmp_path / "own" / system) for system in (*SYSTEM_CHOICES, "regions")}


@pytest.mark.usefixtures("folder")
def test_weights_that_are_given_take_part(own: dict[str, Path]) -> None:
    assert check_systems(None, None) == {}
    for system in ("aspects", "radiomics"):
        given = [own[system], own["segment"]]
        assert check_systems(None, given) == {system: own[system], "segment": own["segment"]}
        assert check_systems(f"segment,{system}", given) == {system: own[system], "segment": own["segment"]}


def test_of_shipped_scorers_the_network_takes_part(folder: Path, own: dict[str, Path]) -> None:
    ship(made("radiomics"), default=True, folder=folder)
    assert check_systems(None, None) == {"radiomics": None}
    ship(made("aspects"), default=True, folder=folder)
    assert check_systems(None, None) == {"aspects": None}
    assert check_systems(None, [own["radiomics"]]) == {"radiomics": own["radiomics"]}
    assert check_systems("radiomics", None) == {"radiomics": None}
    assert check_systems("none", None) == {}


@pytest.mark.usefixtures("folder")
def test_two_that_score_aspects_are_refused(own: dict[str, Path]) -> None:
    both = [own["aspects"], own["radiomics"]]
    for systems, weights in ((None, both), ("aspects,radiomics", None), ("aspects,radiomics", both[:1])):
        with pytest.raises(BadRequest, match="one system scores ASPECTS: aspects or radiomics"):
            check_systems(systems, weights)
    with pytest.raises(BadRequest, match="which --systems leaves out"):
        check_systems("aspects", both[1:])


def test_the_network_draws_regions_where_it_can(folder: Path, own: dict[str, Path]) -> None:
    given = [own["regions"], own["segment"]]
    for regions in (None, RegionsChoice.vbnet):
        assert check_systems(None, given, regions) == {"segment": own["segment"], "regions": own["regions"]}
        assert check_systems("none", given[:1], regions) == {"regions": own["regions"]}
    assert check_systems(None, None, RegionsChoice.vbnet) == {"regions": None}
    with pytest.raises(BadRequest, match="which --regions atlas leaves out"):
        check_systems(None, given, RegionsChoice.atlas)
    with pytest.raises(BadRequest, match="two weights for regions"):
        check_systems(None, given[:1] * 2)
    ship(made("regions"), default=True, folder=folder)
    assert check_systems(None, None) == {"regions": None}
    assert check_systems(None, None, RegionsChoice.atlas) == {}
    assert check_systems("none", None) == {}  # no trained system, this one neither, unless it is named
    assert check_systems("none", None, RegionsChoice.vbnet) == {"regions": None}


@pytest.mark.usefixtures("folder")
def test_followup_systems_take_part(own: dict[str, Path], tmp_path: Path) -> None:
    given = [own["volumetry"], own["hemorrhage"]]
    assert check_systems(None, given) == {"volumetry": own["volumetry"], "hemorrhage": own["hemorrhage"]}
    with pytest.raises(BadRequest, match="weights for hemorrhage, which --systems leaves out"):
        check_systems("volumetry", given)
    paths = [save_weights(weights, tmp_path / weights.system) for weights in (dark_weights(), dense_weights())]
    models = load_models("volumetry,hemorrhage", weights=paths, device=DeviceChoice.cpu)
    assert models.volumetry is not None
    assert models.volumetry.weights.name == "volumetry-made"
    assert models.hemorrhage is not None
    assert models.hemorrhage.config.suspected_ml == 2.0


def test_shipped_volumetry_is_of_follow_up_scans_alone(folder: Path, own: dict[str, Path]) -> None:
    ship(made("volumetry"), default=True, folder=folder)
    assert check_systems(None, None) == {}
    assert check_systems(None, None, followup=True) == {"volumetry": None}
    assert check_systems("volumetry", None) == {"volumetry": None}
    assert check_systems(None, [own["volumetry"]]) == {"volumetry": own["volumetry"]}


def test_a_system_is_named_or_not() -> None:
    assert named_systems("segment, volumetry,") == ("segment", "volumetry")
    assert named_systems("none") == ("none",)
    assert named_systems(None) == ()


@pytest.mark.usefixtures("folder")
def test_localize_takes_part_beside_the_others(own: dict[str, Path], tmp_path: Path) -> None:
    assert check_systems(None, [own["localize"], own["segment"]]) == {
        "segment": own["segment"],
        "localize": own["localize"],
    }
    with pytest.raises(BadRequest, match="weights for localize, which --systems leaves out"):
        check_systems("segment", [own["localize"]])
    path = save_weights(tiny_weights(), tmp_path / "tiny.safetensors")
    models = load_models("localize", weights=[path], device=DeviceChoice.cpu)
    assert models.localize is not None
    assert models.localize.weights.name == "localize-tiny"
    assert models.segment is None
