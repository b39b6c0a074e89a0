"""The verb: from prepared cases to a weight file, and what it refuses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from prepared_blobs import tiny_recipe, write_blobs
from prepared_heads import tiny_vb, write_heads
from prepared_patches import tiny_patches, write_patches
from prepared_regions import tiny_aspects, tiny_radiomics, write_regions
from prepared_slices import tiny_denoise, write_pairs
from prepared_tiles import tiny_localize, write_tiles
from typer.testing import CliRunner

from infarct.cli.train import PresetChoice, SystemChoice, train
from infarct.errors import BadRequest, Refusal
from infarct.preprocess.segment_input import InputSetting
from infarct.training import (
    aspects_recipe,
    denoise_recipe,
    head_recipe,
    localize_recipe,
    patch_recipe,
    radiomics_recipe,
    vb_recipe,
)
from infarct.training import recipe as recipes
from infarct.training.cases import PhantomPlan
from infarct.training.denoise_recipe import DenoisePlan
from infarct.training.module import begin_with, fresh
from infarct.training.patch_cases import PatchPlan
from infarct.training.recipe import PRESETS
from infarct.training.region_cases import RegionPlan
from infarct.training.task import sha256_of
from infarct.training.tile_cases import TilePlan
from infarct.weights import default_weights, file_of, load_weights

app = typer.Typer()
app.command()(train)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the smoke recipe one of milliseconds, and let torch calibrate it: a conversion takes seconds."""
    monkeypatch.setitem(recipes.PRESETS, "smoke", tiny_recipe())
    monkeypatch.setitem(aspects_recipe.ASPECTS_PRESETS, "smoke", tiny_aspects())
    monkeypatch.setitem(vb_recipe.VB_PRESETS, "smoke", tiny_vb())
    monkeypatch.setitem(denoise_recipe.DENOISE_PRESETS, "smoke", tiny_denoise())
    monkeypatch.setitem(localize_recipe.LOCALIZE_PRESETS, "smoke", tiny_localize())
    monkeypatch.setitem(patch_recipe.VOLUMETRY_PRESETS, "smoke", tiny_patches())
    monkeypatch.setitem(patch_recipe.VOLUMETRY_PRESETS, "single", tiny_patches(name="single", networks=("single",)))
    monkeypatch.setitem(patch_recipe.HEMORRHAGE_PRESETS, "smoke", tiny_patches("hemorrhage"))
    monkeypatch.setitem(radiomics_recipe.RADIOMICS_PRESETS, "smoke", tiny_radiomics())
    monkeypatch.setattr("infarct.runtime.engine.find_spec", lambda _: None)


def run(*words: str | Path, system: str = "segment") -> str:
    """Return what the verb prints on stdout. Raises what it raises."""
    given = [system, "--preset", "smoke", "--accelerator", "cpu", "--devices", "1", "--quiet", *map(str, words)]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_trains_on_cases_that_are_there_and_goes_on(tmp_path: Path) -> None:
    cases = write_blobs(tmp_path / "cases")
    printed = run("-o", tmp_path / "out", "--cases", cases, "--steps", "3", "--seed", "5")
    assert printed.split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("segment", "segment-smoke")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    begun = ("--cases", cases, "--steps", "1", "--pretrained", tmp_path / "out" / "weights.safetensors")
    run("-o", tmp_path / "more", *begun)
    card = load_weights(tmp_path / "more" / "weights.safetensors").card
    assert card["recipe"]["pretrained_sha256"] == sha256_of(tmp_path / "out" / "weights.safetensors")
    again = ("-o", tmp_path / "out", "--cases", cases, "--steps", "3", "--seed", "5")
    with pytest.raises(BadRequest, match="not empty"):
        run(*again)
    run(*again, "--resume")
    with pytest.raises(BadRequest, match="another recipe"):
        run("-o", tmp_path / "out", "--cases", cases, "--resume")


def test_prepares_phantoms_in_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[PhantomPlan, int]] = []

    def prepare(plan: PhantomPlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        asked.append((plan, jobs))
        folder.parent.mkdir(parents=True)
        write_blobs(folder)
        on_done(4, 4)

    monkeypatch.setattr("infarct.training.cases.prepare_phantom_cases", prepare)
    run("-o", tmp_path / "out", "--cohort", "phantom", "--steps", "2", "--jobs", "3")
    assert asked == [(tiny_recipe().phantoms, 3)]
    assert (tmp_path / "out" / "weights.safetensors").exists()


def test_prepares_a_cohort_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(
        cases: Any, folder: Path, setting: InputSetting, *, jobs: int, on_done: Any
    ) -> tuple[Path, dict[str, int]]:
        assert (cases, setting, jobs) == (("a", "b"), tiny_recipe().phantoms.setting, 1)
        folder.parent.mkdir(parents=True)
        on_done(4, 4)
        return write_blobs(folder), {"there is no lesion mask": 1, "no brain was found": 1}

    monkeypatch.setattr("infarct.cohorts.detect.open_cohort", lambda _: SimpleNamespace(cases=("a", "b")))
    monkeypatch.setattr("infarct.training.cohort_cases.prepare_cohort_cases", prepare)
    given = ("-o", tmp_path / "out", "--cohort", tmp_path / "data", "--steps", "2", "--accelerator", "cpu")
    done = CliRunner().invoke(app, ["segment", "--preset", "smoke", *map(str, given)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 of 2 cases are left out:\n  1: there is no lesion mask\n  1: no brain was found\n" in done.stderr
    assert (tmp_path / "out" / "weights.safetensors").exists()


def test_refuses_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="what to train on"):
        run("-o", tmp_path / "out")
    with pytest.raises(Refusal):
        run("-o", tmp_path / "out", "--cohort", tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(BadRequest, match="not empty"):
        run("-o", tmp_path / "used", "--cohort", "phantom")
    assert not (tmp_path / "out").exists()


def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infarct.cli.train.find_spec", lambda _: None)
    with pytest.raises(BadRequest, match=r"infarct\[train\]"):
        run("-o", tmp_path / "out", "--cohort", "phantom")


def test_the_verb_knows_the_recipes() -> None:
    """It repeats their names, so that its help needs no torch."""
    common = list(recipes.PRESETS)
    assert [choice.value for choice in PresetChoice] == [*common, "single", "unet"]
    assert list(patch_recipe.VOLUMETRY_PRESETS) == [*common, "single"]
    assert head_recipe.UNET_VOLUMETRY.name == head_recipe.UNET_HEMORRHAGE.name == "unet"
    assert list(aspects_recipe.ASPECTS_PRESETS) == common
    assert list(vb_recipe.VB_PRESETS) == common
    assert list(denoise_recipe.DENOISE_PRESETS) == common
    assert list(localize_recipe.LOCALIZE_PRESETS) == common
    assert list(patch_recipe.HEMORRHAGE_PRESETS) == common
    assert set(radiomics_recipe.RADIOMICS_PRESETS) <= set(common)
    assert [choice.value for choice in SystemChoice] == [
        "segment",
        "aspects",
        "regions",
        "radiomics",
        "denoise",
        "localize",
        "volumetry",
        "hemorrhage",
    ]


def test_trains_aspects_on_cases_that_are_there_and_goes_on(tmp_path: Path) -> None:
    given = ("-o", tmp_path / "out", "--cases", write_regions(tmp_path / "cases"), "--steps", "3", "--seed", "5")
    assert run(*given, system="aspects").split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("aspects", "aspects-smoke")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    with pytest.raises(BadRequest, match="not empty"):
        run(*given, system="aspects")
    run(*given, "--resume", system="aspects")
    with pytest.raises(BadRequest):
        run(*given, "--resume")


def test_trains_regions_on_cases_that_are_there_and_goes_on(tmp_path: Path) -> None:
    given = ("-o", tmp_path / "out", "--cases", write_heads(tmp_path / "cases"), "--steps", "3", "--seed", "5")
    assert run(*given, system="regions").split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("regions", "regions-smoke")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    with pytest.raises(BadRequest, match="not empty"):
        run(*given, system="regions")
    run(*given, "--resume", system="regions")
    with pytest.raises(BadRequest):
        run(*given, "--resume", system="aspects")


def test_trains_localize_on_tiles_that_are_there_and_goes_on(tmp_path: Path) -> None:
    given = ("-o", tmp_path / "out", "--cases", write_tiles(tmp_path / "cases"), "--steps", "3", "--seed", "5")
    assert run(*given, system="localize").split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("localize", "localize-smoke")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    run(*given, "--resume", system="localize")
    with pytest.raises(BadRequest):
        run(*given, "--resume", system="aspects")


def test_prepares_phantoms_with_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[TilePlan, int]] = []

    def prepare(plan: TilePlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        asked.append((plan, jobs))
        write_tiles(folder)
        on_done(3, 3)

    monkeypatch.setattr("infarct.training.tile_cases.prepare_tile_cases", prepare)
    run("-o", tmp_path / "out", "--cohort", "phantom", "--steps", "2", "--jobs", "3", system="localize")
    assert asked == [(tiny_localize().phantoms, 3)]


@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_trains_patch_networks_on_heads_that_are_there_and_goes_on(system: str, tmp_path: Path) -> None:
    given = ("-o", tmp_path / "out", "--cases", write_patches(tmp_path / "cases"), "--steps", "3", "--seed", "5")
    assert run(*given, system=system).split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == (system, f"{system}-smoke")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    with pytest.raises(BadRequest, match="not empty"):
        run(*given, system=system)
    run(*given, "--resume", system=system)
    with pytest.raises(BadRequest):
        run(*given, "--resume", system="localize")


def test_trains_one_network_for_all_infarcts(tmp_path: Path) -> None:
    cases = write_patches(tmp_path / "cases")
    run("-o", tmp_path / "out", "--cases", cases, "--steps", "2", "--preset", "single", system="volumetry")
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.name, weights.settings["outputs"]) == ("volumetry-single", ["single"])
    for system in ("hemorrhage", "segment"):
        with pytest.raises(BadRequest, match=f"no preset single for {system}; there are: paper"):
            run("-o", tmp_path / "new", "--cases", cases, "--preset", "single", system=system)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_prepares_phantom_heads(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[PatchPlan, int]] = []

    def prepare(plan: PatchPlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        asked.append((plan, jobs))
        write_patches(folder)
        on_done(3, 3)

    monkeypatch.setattr("infarct.training.patch_cases.prepare_patch_cases", prepare)
    run("-o", tmp_path / "out", "--cohort", "phantom", "--steps", "2", "--jobs", "3", system=system)
    assert asked == [(tiny_patches(system).phantoms, 3)]


@pytest.mark.parametrize("system", ["volumetry", "hemorrhage"])
def test_refuses_before_heads_are_made(system: str, tmp_path: Path) -> None:
    for given, message in (((), "what to train on"), (("--cohort", tmp_path), "trained on phantoms")):
        with pytest.raises(BadRequest, match=message):
            run("-o", tmp_path / "out", *given, system=system)
    with pytest.raises(Refusal, match="no readable index"):
        run("-o", tmp_path / "out", "--cases", write_blobs(tmp_path / "cases"), system=system)
    assert not (tmp_path / "out").exists()


def test_the_shipped_segmentation_can_be_trained_further() -> None:
    recipe = PRESETS["cpu"]
    network = fresh(recipe.network, recipe.network_config, 0)
    begin_with(network, file_of(default_weights("segment")))
    tensors = load_weights(default_weights("segment")).tensors
    for name, values in network.state_dict().items():
        np.testing.assert_array_equal(values[: len(tensors[name])], tensors[name])


def test_pretrained_weights_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no weights")
    for system, message in (("volumetry", "begins with nothing"), ("radiomics", "leave out --pretrained")):
        with pytest.raises(BadRequest, match=message):
            run("-o", tmp_path / "out", "--cohort", "phantom", "--pretrained", tmp_path / "file", system=system)
    given = ("-o", tmp_path / "out", "--cases", write_tiles(tmp_path / "cases"))
    with pytest.raises(Refusal, match="neither safetensors nor"):
        run(*given, "--pretrained", tmp_path / "file", system="localize")


def test_prepares_phantoms_with_and_without_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[DenoisePlan, int]] = []

    def prepare(plan: DenoisePlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        asked.append((plan, jobs))
        write_pairs(folder)
        on_done(5, 5)

    monkeypatch.setattr("infarct.training.denoise_cases.prepare_denoise_cases", prepare)
    given = ("-o", tmp_path / "out", "--steps", "3", "--seed", "5", "--jobs", "3")
    assert run(*given, "--cohort", "phantom", system="denoise").split() == [
        str(tmp_path / "out" / "weights.safetensors")
    ]
    assert asked == [(tiny_denoise().phantoms, 3)]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("denoise", "denoise-tiny")
    assert (weights.card["recipe"]["steps"], weights.card["recipe"]["seed"]) == (3, 5)
    run(*given, "--cases", tmp_path / "out" / "cases", "--resume", system="denoise")
    for other, message in (((), "what to train on"), (("--cohort", tmp_path), "trained on phantoms")):
        with pytest.raises(BadRequest, match=message):
            run("-o", tmp_path / "new", *other, system="denoise")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("system", ["aspects", "regions"])
def test_prepares_phantoms_with_regions(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[RegionPlan, int]] = []

    def prepare(plan: RegionPlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        asked.append((plan, jobs))
        (write_regions if system == "aspects" else write_heads)(folder)
        on_done(3, 3)

    monkeypatch.setattr("infarct.training.region_cases.prepare_region_cases", prepare)
    run("-o", tmp_path / "out", "--cohort", "phantom", "--steps", "2", "--jobs", "3", system=system)
    assert asked == [((tiny_aspects() if system == "aspects" else tiny_vb()).phantoms, 3)]


@pytest.mark.parametrize("system", ["aspects", "regions"])
def test_refuses_before_regions_are_made(system: str, tmp_path: Path) -> None:
    for given, message in (((), "what to train on"), (("--cohort", tmp_path), "trained on phantoms")):
        with pytest.raises(BadRequest, match=message):
            run("-o", tmp_path / "out", *given, system=system)
    with pytest.raises(Refusal, match="no readable index"):
        run("-o", tmp_path / "out", "--cases", write_blobs(tmp_path / "cases"), system=system)
    assert not (tmp_path / "out").exists()


def run_radiomics(*words: str | Path) -> str:
    """Return what the verb prints on stdout for forests, which take no lightning flags. Raises what it raises."""
    given = ["radiomics", "--preset", "smoke", "--quiet", *map(str, words)]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_trains_forests_on_cases_that_are_there(tmp_path: Path) -> None:
    given = ("-o", tmp_path / "out", "--cases", write_regions(tmp_path / "cases"), "--seed", "5")
    assert run_radiomics(*given).split() == [str(tmp_path / "out" / "weights.safetensors")]
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    assert (weights.system, weights.name) == ("radiomics", "radiomics-smoke")
    assert weights.card["recipe"]["seed"] == 5
    with pytest.raises(BadRequest, match="not empty"):
        run_radiomics(*given)


def test_prepares_the_cases_of_forests_in_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(plan: RegionPlan, folder: Path, *, jobs: int, on_done: Any) -> None:
        assert (plan, jobs) == (tiny_radiomics().phantoms, 1)
        folder.parent.mkdir(parents=True)
        write_regions(folder)
        on_done(3, 3)

    monkeypatch.setattr("infarct.training.region_cases.prepare_region_cases", prepare)
    run_radiomics("-o", tmp_path / "out", "--cohort", "phantom")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cases", "weights.safetensors"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "3"), "leave out --steps"),
        (("--resume", "--precision", "bf16"), "leave out --resume, --precision"),
        (("--accelerator", "cpu"), "leave out --accelerator"),
        (("--devices", "2", "--strategy", "ddp"), "leave out --devices, --strategy"),
        (("--num-nodes", "2", "--workers", "0"), "leave out --workers, --num-nodes"),
        (("--preset", "gpu"), "there are: paper, cpu, smoke"),
        ((), "what to train on"),
        (("--cohort", "folder"), "trained on phantoms"),
    ],
)
def test_what_means_nothing_for_forests_is_refused(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=message):
        run_radiomics("-o", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_forests_tell_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infarct.cli.train.find_spec", lambda name: None if name == "sklearn" else True)
    with pytest.raises(BadRequest, match=r"infarct\[train\]"):
        run_radiomics("-o", tmp_path / "out", "--cohort", "phantom")
