"""`infarct models` as a user sees it."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from infarct.cli.models import models
from infarct.errors import BadRequest
from infarct.weights import WeightSet, ship, store

APP = typer.Typer()
APP.command()(models)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of shipped weights that stands in for the package's."""
    (tmp_path / "manifest.json").write_text("{}")
    for function in (store.shipped, store.load_weights):
        monkeypatch.setitem(function.__kwdefaults__, "folder", tmp_path)
    return tmp_path


def made(name: str) -> WeightSet:
    settings = {"calibrated_on": "phantom"}
    return WeightSet("segment", name, "se_res_unet", {}, settings, {"a": np.zeros(3)}, {"summary": "For tests."})


def test_nothing_is_shipped(folder: Path) -> None:
    assert folder.is_dir()
    assert CliRunner().invoke(APP, []).output == "no weights are shipped\n"


def test_the_list(folder: Path) -> None:
    weights = [made("segment-thin"), made("segment-thick-long")]
    for number, one in enumerate(weights):
        ship(one, default=number == 0, folder=folder)
    expected = (
        f"   name                system   network      calibrated on  sha256\n"
        f"   segment-thick-long  segment  se_res_unet  phantom        {weights[1].sha256}\n"
        f"*  segment-thin        segment  se_res_unet  phantom        {weights[0].sha256}\n"
    )
    assert CliRunner().invoke(APP, []).output == expected


def test_a_card(folder: Path) -> None:
    ship(made("segment-thin"), default=True, folder=folder)
    output = CliRunner().invoke(APP, ["segment-thin"]).output
    assert output.startswith("# segment-thin\n")
    assert "For tests." in output
    assert "size" not in output


def test_an_unknown_name(folder: Path) -> None:
    ship(made("segment-thin"), default=True, folder=folder)
    with pytest.raises(BadRequest, match="no shipped weights 'best'; there are: segment-thin"):
        models("best")
