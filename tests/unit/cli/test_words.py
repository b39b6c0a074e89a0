"""An option that is given twice means both; the last one alone would leave results out without a word."""

import pytest
from typer.testing import CliRunner

from infarct.cli.app import app
from infarct.cli.words import joined


def test_all_that_was_said_is_joined() -> None:
    assert joined(None) is None
    assert joined([]) is None
    assert joined(["pdf"]) == "pdf"
    assert joined(["pdf,seg", "sr"]) == "pdf,seg,sr"
    assert joined([""]) == ""


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--format", "jpeg", "--format", "pdf"], "jpeg"),
        (["--systems", "nonsense", "--systems", "segment"], "nonsense"),
    ],
)
def test_the_first_of_two_counts(tmp_path, words: list[str], wrong: str) -> None:
    (tmp_path / "scan").mkdir()
    result = CliRunner().invoke(app, ["analyze", str(tmp_path / "scan"), "-o", str(tmp_path / "out"), *words])
    assert result.exit_code != 0
    assert wrong in str(result.exception) + result.output
    assert not (tmp_path / "out").exists()


def test_an_empty_list_of_formats_is_refused_by_the_demo_too(tmp_path) -> None:
    """It is not the same as none given."""
    result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "out"), "--format", ""])
    assert "--format takes" in str(result.exception) + result.output
    assert not (tmp_path / "out").exists()
