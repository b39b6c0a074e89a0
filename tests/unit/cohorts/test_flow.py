"""Who takes part by the rules, by hand; and the verb that counts and draws them."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infarct.cli.app import app
from infarct.cohorts.case import key_of
from infarct.cohorts.flow import read_flow
from infarct.errors import BadRequest

HEADER = "id,onset_to_ct_h,ct_negative,dwi_positive,ct_to_dwi_days,recurrent,age"
ROWS = {
    "a": ("12,yes,yes,13.9,no,70", None),
    "b": ("12.5,no,yes,20,yes,70", "CT more than 12 h after onset"),
    "c": ("3,no,yes,2,no,", "infarct seen in the first CT reading"),
    "d": ("3,yes,no,2,no,", "no infarct in DWI and ADC"),
    "e": ("3,yes,yes,14,no,", "CT and DWI 14 days or more apart"),
    "f": ("3,yes,yes,-15,no,", "CT and DWI 14 days or more apart"),
    "g": ("3,yes,yes,2,yes,", "recurrent event between CT and DWI"),
    "h": ("3,yes,yes,n/a,no,", "interval of CT and DWI not known"),
    "i": ("3,maybe,yes,2,no,", "ct_negative is neither yes nor no"),
    "j": ("-3,yes,yes,2,no,", "onset_to_ct_h is no number from 0 to 1e+06"),
    "k": ("0,Y,1,-2,No,", None),
}


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return table(tmp_path, "\n".join([HEADER, *(f"{name},{cells}" for name, (cells, _) in ROWS.items())]))


def test_each_case_by_hand(cohort: Path) -> None:
    flow = read_flow(cohort)
    assert {d.id: d.reason for d in flow.decisions} == {name: reason for name, (_, reason) in ROWS.items()}
    assert flow.included == 2
    assert sum(sum(flow.left_out(column).values()) for column in flow.applied) + flow.included == len(ROWS)
    assert flow.left_out("ct_to_dwi_days") == {
        "CT and DWI 14 days or more apart": 2,
        "interval of CT and DWI not known": 1,
    }
    assert flow.not_applied == ()


def test_a_rule_without_its_column_is_not_applied(tmp_path: Path) -> None:
    flow = read_flow(table(tmp_path, "id,recurrent\na,no\nb,yes\n"))
    assert flow.included == 1
    assert flow.applied == ("recurrent",)
    assert flow.not_applied == ("onset_to_ct_h", "ct_negative", "dwi_positive", "ct_to_dwi_days")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no cases"),
        ("id,recurrent\n", "no cases"),
        ("id,age\na,3\n", "needs a column id"),
        ("recurrent,age\nno,3\n", "needs a column id"),
        ("id,recurrent,recurrent\na,no,no\n", "twice"),
        ("id,recurrent\na,no\na,no\n", "twice"),
        ("id,recurrent\na\n", "1 cells"),
        ("id,recurrent\na b/c,no\n", "row 2"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read_flow(table(tmp_path, text))


def test_the_verb_counts_and_draws(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["reference", "dwi-flow", str(cohort), "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == ["flow.csv", "flow.json", "flow.png"]
    record = json.loads((out / "flow.json").read_text())
    assert (record["screened"], record["included"]) == (11, 2)
    with (out / "flow.csv").open(encoding="utf-8") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows[key_of("a")]["included"] == "yes"
    assert rows[key_of("g")]["reason"] == "recurrent event between CT and DWI"
    assert (out / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_for_a_bad_table(tmp_path: Path) -> None:
    path, out = table(tmp_path, "id\na\n"), tmp_path / "out"
    with pytest.raises(BadRequest):
        CliRunner().invoke(app, ["reference", "dwi-flow", str(path), "-o", str(out)], catch_exceptions=False)
    assert not out.exists()
