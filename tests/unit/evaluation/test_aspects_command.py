"""The command for ASPECTS: what it writes, how it goes on, and what it refuses."""

import csv
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from infarct.anatomy import Side
from infarct.cli.evaluate import RESULTS_FILE, MethodChoice, evaluate
from infarct.cohorts import Cohort, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation import aspects_cohort, aspects_comparison, aspects_report, named_cohorts
from infarct.evaluation.aspects import Answer
from infarct.evaluation.aspects_cohort import (
    METHODS,
    AspectsOrder,
    Method,
    Methods,
    Prepared,
    open_methods,
    prepare_scan,
    score_scan,
    settings_of,
)
from infarct.evaluation.aspects_comparison import compare
from infarct.evaluation.aspects_summary import summarise_aspects
from infarct.evaluation.named_cohorts import Named
from infarct.findings import INTENDED_USE, Aspects
from infarct.preprocess.cascade_input import CascadeSetting
from infarct.preprocess.region_input import EVERYDAY
from infarct.systems.regions_vbnet import DrawerConfig
from infarct.types import LabelArray
from infarct.volume import Geometry, Scan
from infarct.weights import save_weights
from unit.evaluation.scored_case import CASE, GEOMETRY, answer_of, findings, scan
from unit.systems.grown_forests import forest_weights


@dataclass(frozen=True)
class AnyHead:
    """All of a head that takes other regions."""

    aspects_regions: LabelArray
    geometry: Geometry = GEOMETRY


@pytest.fixture
def three_scans(monkeypatch: pytest.MonkeyPatch) -> list[Side | None]:
    """Evaluate three small scans by a made-up method; returns the sides that it was told."""
    told: list[Side | None] = []

    def score(_: Scan, methods: Methods, side: Side | None) -> Answer:
        told.append(side)
        return answer_of({name: findings(side) for name in methods.by_name})

    cases = tuple(replace(CASE, id=f"Doe-{number}", patient=f"Jane {number}") for number in range(3))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("phantom", cases))
    monkeypatch.setattr(aspects_cohort, "score_scan", score)
    monkeypatch.setattr(aspects_report, "summarise_aspects", partial(summarise_aspects, resamples=5))
    monkeypatch.setattr(aspects_comparison, "compare", partial(compare, resamples=5))
    return told


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aspects_report, "aspects_drawings", lambda *_: ())
    for room, name in ((aspects_cohort, "aspects_picture"), (aspects_report, "page_of"), (aspects_comparison, "png")):
        monkeypatch.setattr(room, name, lambda *_, **__: b"picture")


def run(output: Path, *more: str) -> Result:
    command: Any = ["aspects", "--cohort", "folder", "-o", str(output), "--quiet", *more]
    return CliRunner().invoke(evaluate, command)


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_it_writes_everything_and_names_nobody(tmp_path: Path, three_scans: list[Side | None]) -> None:
    done = run(tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "tables.md")
    assert three_scans == [None] * 3
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"metrics.json", "tables.md", "tables/cases.csv", "tables/scores.csv", "figures/gallery.png"} <= set(files)
    assert {"figures/0-phantom-core-aspects_boxes.png", "figures/0-phantom-roc_both_hemispheres.png"} <= set(files)
    assert len([name for name in files if name.startswith("cases/")]) == 3
    for name, path in files.items():
        content = path.read_bytes()
        assert b"Doe" not in content, name
        assert b"Jane" not in content, name
        if not name.endswith(".png"):
            assert INTENDED_USE.encode() in content, name


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_the_numbers_are_those_of_the_cases(tmp_path: Path) -> None:
    """By core L and M5 of the left, by the method M5 and M6: one hit, one missed, one wrong of ten."""
    run(tmp_path / "out")
    metrics = metrics_of(tmp_path / "out")
    assert metrics["settings"]["method"] == "asymmetry"
    assert metrics["overview"][0]["strokes"] == 3
    by_core = [one for one in metrics["regions"] if (one["judge"], one["reference"]) == ("system", "core")]
    ours = [one for one in by_core if one["area"] == "all"]
    assert [one["decisions"]["accuracy"]["estimate"] for one in ours] == pytest.approx([8 / 10, 18 / 20])
    assert [one["decisions"]["sensitivity"]["estimate"] for one in ours] == [0.5, 0.5]
    (score,) = (one for one in metrics["scores"] if (one["judge"], one["reference"]) == ("system", "reader 2"))
    assert score["difference"]["mean"]["estimate"] == -2
    lines = (tmp_path / "out" / "tables" / "cases.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines[1:]))
    assert len(rows) == 60
    insula = next(row for row in rows if (row["region"], row["region_side"]) == ("M6", "left"))
    assert (insula["core"], insula["affected"], insula["core_score"], insula["system_score"]) == ("0", "1", "8", "8")
    assert (insula["kvp"], insula["onset_h"], insula["dice"]) == ("100", "2", "1")


@pytest.mark.usefixtures("no_figures")
def test_it_goes_on_with_more_scans(tmp_path: Path, three_scans: list[Side | None]) -> None:
    assert run(tmp_path / "out", "--first", "1").exit_code == 0
    assert run(tmp_path / "out").exit_code == 0
    assert len(three_scans) == 3
    assert metrics_of(tmp_path / "out")["overview"][0]["scans"] == 3


@pytest.mark.usefixtures("no_figures")
def test_the_side_is_told_where_it_is_known(tmp_path: Path, three_scans: list[Side | None]) -> None:
    assert run(tmp_path / "out", "--side-known").exit_code == 0
    assert three_scans == ["left"] * 3
    other = run(tmp_path / "out")
    assert isinstance(other.exception, BadRequest)
    assert "another evaluation" in str(other.exception)


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_another_systems_results_are_not_gone_on_with(tmp_path: Path) -> None:
    header = {"intended_use": INTENDED_USE, "layout": 1, "settings": {"system": "segment"}}
    (tmp_path / RESULTS_FILE).write_text(json.dumps(header) + '\n{"case": {"truth_ml": 1}}\n')
    assert "another evaluation" in str(run(tmp_path).exception)


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert isinstance(run(tmp_path).exception, BadRequest)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_scans_without_an_answer_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Answer:
        raise StepFailed("no brain found")

    monkeypatch.setattr(aspects_cohort, "score_scan", failing)
    assert run(tmp_path / "out").exit_code == 3
    assert "no brain found" in (tmp_path / "out" / "tables.md").read_text()


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_a_cohort_whose_regions_nobody_judged_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(CASE, loader=lambda: LabelledScan(scan()))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", (plain,)))
    assert run(tmp_path / "out").exit_code == 3
    assert metrics_of(tmp_path / "out")["without_answer"][0]["reason"].startswith("nobody said which ASPECTS regions")


def test_methods_have_one_name_each() -> None:
    assert [choice.value for choice in MethodChoice] == list(METHODS)
    with pytest.raises(BadRequest, match="asymmetry"):
        open_methods(AspectsOrder(("x",), ("asymmetry", "guessing")))
    with pytest.raises(BadRequest, match="named twice"):
        open_methods(AspectsOrder(("x",), ("asymmetry", "asymmetry")))


def test_weights_belong_to_a_trained_method(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="takes no weights"):
        open_methods(AspectsOrder(("x",), weights={"asymmetry": tmp_path / "mine.safetensors"}))
    with pytest.raises(BadRequest, match="no such weight file"):
        open_methods(AspectsOrder(("x",), ("da_net",), {"da_net": tmp_path / "mine.safetensors"}))
    with pytest.raises(BadRequest, match="no such weight file"):
        open_methods(AspectsOrder(("x",), ("radiomics",), {"radiomics": tmp_path / "mine.safetensors"}))


@pytest.mark.parametrize("how", [{"device": "cuda"}, {"precision": "bf16"}])
def test_forests_are_run_in_one_way(tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="leave out --device and --precision"):
        open_methods(AspectsOrder(("x",), ("radiomics",), {"radiomics": tmp_path / "mine.safetensors"}, **how))


def test_the_record_tells_the_forests(tmp_path: Path) -> None:
    path = save_weights(forest_weights(), tmp_path / "mine.safetensors")
    order = AspectsOrder(("x",), ("radiomics", "asymmetry"), {"radiomics": path}, device="cuda")
    config = open_methods(order).configs["radiomics"]  # the device is for others
    assert config["weights"] == {"name": "tiny", "sha256": forest_weights().sha256}
    assert config["scorer"]["radiomics"]["bin_width_hu"] == 4.0
    assert "engine" not in config


def test_regions_that_a_network_draws_are_scored_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record tells the weights; the head that is scored has what was chosen, not the atlas's."""
    weights = SimpleNamespace(name="mine", sha256="00")
    drawer = SimpleNamespace(
        weights=weights, config=DrawerConfig(EVERYDAY, CascadeSetting((1, 3, 3), (4, 8, 8), (4, 8, 8)), "phantoms")
    )
    atlas, network, chosen = (np.full((1, 2, 3), value, np.uint8) for value in (0, 1, 2))
    choice = SimpleNamespace(labels=chosen, method="vbnet", drawn=SimpleNamespace(labels=network), flags=("differs",))
    monkeypatch.setattr(aspects_cohort, "load_drawer", lambda path, **_: drawer if path == "mine" else None)
    monkeypatch.setattr(aspects_cohort, "prepare_head", lambda _: AnyHead(atlas))
    monkeypatch.setattr(aspects_cohort, "choose_regions", lambda *_: choice)
    monkeypatch.setattr(aspects_cohort, "compare_sides", lambda head, **_: head)
    monkeypatch.setattr(aspects_cohort, "resample_labels", lambda labels, *_: labels)
    methods = open_methods(AspectsOrder(("x",), regions="vbnet", region_weights="mine"))
    config, plain = methods.configs["asymmetry"], open_methods(AspectsOrder(("x",))).configs["asymmetry"]
    assert config["drawn_regions"]["weights"] == {"name": "mine", "sha256": "00"}
    assert {name: value for name, value in config.items() if name != "drawn_regions"} == plain
    prepared, maps = prepare_scan(scan(), methods.drawer, None)
    assert prepared.head.aspects_regions is prepared.sides.aspects_regions is chosen  # type: ignore[attr-defined]
    assert (maps.by_drawer, maps.used, maps.disagree) == ({"atlas": atlas, "vbnet": network}, "vbnet", True)
    _, by_atlas = prepare_scan(scan(), None, None)
    assert (by_atlas.by_drawer, by_atlas.disagree) == ({"atlas": atlas}, False)
    assert by_atlas.labels is atlas


def test_a_head_is_prepared_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sides are compared once as well; each method is told the same side, and its time holds what is shared."""
    done: list[str] = []

    def prepare(_: Scan) -> AnyHead:
        done.append("head")
        return AnyHead(np.zeros(3, np.uint8))

    def compare_both(*_: AnyHead, symptomatic_side: Side | None) -> Side | None:
        done.append("sides")
        return symptomatic_side

    monkeypatch.setattr(aspects_cohort, "prepare_head", prepare)
    monkeypatch.setattr(aspects_cohort, "compare_sides", compare_both)
    monkeypatch.setattr(aspects_cohort, "resample_labels", lambda labels, *_: labels)

    def method(name: str) -> Method:
        def score(prepared: Prepared) -> Aspects:
            done.append(f"{name} {prepared.side}")
            return findings(prepared.side)

        return Method({}, score)

    found = score_scan(scan(), Methods({name: method(name) for name in ("a", "b", "c")}), "right")
    assert done == ["head", "sides", "a right", "b right", "c right"]
    assert [scored.aspects.side for scored in found.by_method.values()] == ["right"] * 3
    assert all((scored.seconds or 0) > 0 for scored in found.by_method.values())


def test_settings_tell_evaluations_apart() -> None:
    order = AspectsOrder(("x",))
    methods = open_methods(order)
    base = settings_of(order, [Named("x", (CASE,))], methods)
    assert "scan-1" not in str(base)
    assert settings_of(replace(order, first=3), [Named("x", (CASE, CASE))], methods) == base
    (method,) = methods.by_name.values()
    others = (
        settings_of(replace(order, side_known=True), [Named("x", (CASE,))], methods),
        settings_of(replace(order, split="test"), [Named("x", (CASE,))], methods),
        settings_of(order, [Named("x", (CASE,))], Methods({"asymmetry": replace(method, config={})})),
        settings_of(order, [Named("x", (CASE,))], Methods({"asymmetry": method, "da_net": method})),
        settings_of(order, [Named("x", (CASE,))], Methods({"da_net": method})),
        settings_of(order, [Named("x", (replace(CASE, id="other"),))], methods),
    )
    assert all(other != base for other in others)


BOTH = ("--method", "da_net", "--method", "asymmetry")


@pytest.fixture
def a_network(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let DA-Net be something without weights; returns the weights that the orders held."""
    given: list[dict[str, Any]] = []

    def opened(order: AspectsOrder, _: int | None) -> Method:
        given.append(dict(order.weights))
        return Method({"made": "up"}, lambda _: findings())

    monkeypatch.setitem(METHODS, "da_net", opened)
    return given


@pytest.mark.usefixtures("a_network", "no_figures")
def test_several_methods_have_a_report_each_and_a_comparison(tmp_path: Path, three_scans: list[Side | None]) -> None:
    done = run(tmp_path / "out", *BOTH)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "comparison.md")
    assert len(three_scans) == 3
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("results.jsonl", "da_net", "asymmetry", "metrics.json"),
        *("comparison.md", "comparison.csv", "comparison.png"),
    }
    metrics = metrics_of(tmp_path / "out")
    assert list(metrics["settings"]["methods"]) == ["da_net", "asymmetry"]
    assert {one["method"] for one in metrics["comparison"]} == {"da_net", "asymmetry", "readers"}
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix in (".md", ".csv", ".json", ".jsonl"):
            assert INTENDED_USE in path.read_text(), path.name
            assert "Doe" not in path.read_text(), path.name


@pytest.mark.usefixtures("a_network", "no_figures", "three_scans")
def test_a_methods_report_is_that_of_the_method_alone(tmp_path: Path) -> None:
    run(tmp_path / "two", *BOTH)
    run(tmp_path / "one")
    alone = {path.relative_to(tmp_path / "one"): path for path in (tmp_path / "one").rglob("*") if path.is_file()}
    among = tmp_path / "two" / "asymmetry"
    assert {path.relative_to(among) for path in among.rglob("*") if path.is_file()} == set(alone) - {Path(RESULTS_FILE)}
    assert all(
        (among / name).read_bytes() == path.read_bytes() for name, path in alone.items() if name.suffix != ".jsonl"
    )


@pytest.mark.usefixtures("a_network", "no_figures")
def test_several_methods_go_on_with_more_scans_and_not_as_others(
    tmp_path: Path, three_scans: list[Side | None]
) -> None:
    run(tmp_path / "out", *BOTH, "--first", "1")
    assert run(tmp_path / "out", *BOTH).exit_code == 0
    assert len(three_scans) == 3
    assert metrics_of(tmp_path / "out" / "da_net")["overview"][0]["scans"] == 3
    for others in ((), ("--method", "da_net")):
        assert "another evaluation" in str(run(tmp_path / "out", *others).exception)
    again = run(tmp_path / "out", "--method", "asymmetry", "--method", "da_net")  # the same, held against another
    assert again.exit_code == 0
    assert len(three_scans) == 3
    assert "difference to asymmetry" in (tmp_path / "out" / "comparison.md").read_text()


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_scans_without_an_answer_of_any_are_told_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a_network: list[dict[str, Any]]
) -> None:
    def failing(*_: object) -> None:
        raise StepFailed("no brain found")

    monkeypatch.setattr(aspects_cohort, "score_scan", failing)
    assert run(tmp_path / "out", *BOTH).exit_code == 3
    assert len(metrics_of(tmp_path / "out")["without_answer"]) == 3
    assert metrics_of(tmp_path / "out")["comparison"] == []
    assert "no brain found" in (tmp_path / "out" / "da_net" / "tables.md").read_text()
    assert a_network == [{}]


@pytest.mark.usefixtures("three_scans", "no_figures")
def test_weights_go_to_the_method_of_their_system(tmp_path: Path, a_network: list[dict[str, Any]]) -> None:
    forests = save_weights(forest_weights(), tmp_path / "forests.safetensors")
    done = run(tmp_path / "out", "--method", "da_net", "--method", "radiomics", "--weights", str(forests))
    assert done.exit_code == 0, done.output
    assert a_network == [{"radiomics": forests}]
    config = metrics_of(tmp_path / "out" / "radiomics")["settings"]["config"]
    assert config["weights"]["sha256"] == forest_weights().sha256
    refused = run(tmp_path / "other", *BOTH, "--weights", str(forests))
    assert "radiomics, which no --method evaluates" in str(refused.exception)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_phantom_by_the_baseline(tmp_path: Path) -> None:
    command: Any = ["aspects", "--cohort", "phantom:aspects:validation", "--first", "1", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(evaluate, [*command, "--quiet"])
    assert done.exit_code == 0, done.output
    line = json.loads((tmp_path / "out" / RESULTS_FILE).read_text().splitlines()[1])["case"]["by_method"]["asymmetry"]
    assert line["about"]["id"] == "aspects-validation-0000"
    assert len(line["regions"]) == 20
    own = [one for one in line["regions"] if one["side"] == line["about"]["side"]]
    assert any(one["core"] for one in own)
    assert not any(one["core"] for one in line["regions"] if one not in own)
    assert min(one["dice"] for one in line["regions"] if one["region"].startswith("M")) > 0.3
