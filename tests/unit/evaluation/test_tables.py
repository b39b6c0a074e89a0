"""How cells are shown and stored; every table of an evaluation."""

import csv
import io
import math

import pytest

from infarct.evaluation.result import Failure
from infarct.evaluation.segment_tables import segment_tables
from infarct.evaluation.summary import Spread, summarise
from infarct.evaluation.tables import Cell, Column, Table, as_csv, as_markdown, number, shown
from infarct.findings import INTENDED_USE
from infarct.measure.bootstrap import Interval
from unit.evaluation.drawn_results import drawn_results

NAN = math.nan
SPREAD = Spread(Interval(0.628, 0.6, 0.656, 20, 19), Interval(0.7, 0.61, 0.75, 20, 19), 0.033, 0.5, 0.8)
LONE = Spread(Interval(0.5, NAN, NAN, 1, 1), Interval(0.5, NAN, NAN, 1, 1), NAN, 0.5, 0.5)
NONE = Spread(Interval(NAN, NAN, NAN, 0, 0), Interval(NAN, NAN, NAN, 0, 0), NAN, NAN, NAN)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a|b", "a\\|b"),
        (12, "12"),
        (0.12345, "0.123"),
        (-0.0001, "0.000"),
        (-0.5, "−0.500"),
        (NAN, "–"),
        (None, "–"),
        (Interval(0.5, 0.4, 0.6, 9, 9), "0.500 (0.400 to 0.600)"),
        (Interval(0.5, NAN, NAN, 1, 1), "0.500"),
        (SPREAD, "0.628 ± 0.033 (0.600 to 0.656)"),
        (LONE, "0.500"),
        (NONE, "–"),
    ],
)
def test_how_cells_are_shown(cell: Cell, text: str) -> None:
    assert shown(cell, Column("x", "X")) == text


def test_median_and_digits() -> None:
    assert shown(SPREAD, Column("x", "X", 1, median=True)) == "0.7 (0.5 to 0.8)"
    assert number(1234.56, 0) == "1235"


TABLE = Table(
    "t",
    "Title",
    (Column("name", "Name"), Column("dice", "Dice"), Column("share", "Share", 1)),
    (("one", SPREAD, 0.25), ("two", None, NAN)),
    "A note.",
)


def test_markdown_of_a_table() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "## Title",
        "",
        "| Name | Dice | Share |",
        "| --- | ---: | ---: |",
        "| one | 0.628 ± 0.033 (0.600 to 0.656) | 0.2 |",
        "| two | – | – |",
        "",
        "A note.",
    ]


def test_csv_keeps_all_numbers_and_says_what_it_is_for() -> None:
    first, rest = as_csv(TABLE).split("\n", 1)
    assert first == f"# {INTENDED_USE}"
    one, two = csv.DictReader(io.StringIO(rest))
    assert one["name"] == "one"
    assert [float(one[f"dice_{end}"]) for end in ("count", "mean", "mean_low", "mean_high", "sd")] == [
        20, 0.628, 0.6, 0.656, 0.033,
    ]  # fmt: skip
    assert [float(one[f"dice_{end}"]) for end in ("median", "median_low", "lower_quartile")] == [0.7, 0.61, 0.5]
    assert one["share"] == "0.25"
    assert set(two.values()) == {"two", ""}


def test_a_plain_number_among_spreads_stands_as_the_mean() -> None:
    table = Table("t", "T", (Column("x", "X"),), ((SPREAD,), (0.25,)))
    *_, row = csv.DictReader(io.StringIO(as_csv(table).split("\n", 1)[1]))
    assert row["x_mean"] == "0.25"
    assert sum(value != "" for value in row.values()) == 1


def test_rows_may_have_digits_of_their_own() -> None:
    table = Table("t", "T", (Column("x", "X"),), ((0.1234,), (12.34,)), row_digits=(2, 0))
    assert as_markdown(table).splitlines()[4:] == ["| 0.12 |", "| 12 |"]


def test_a_row_must_fit() -> None:
    with pytest.raises(ValueError, match="columns"):
        Table("t", "T", (Column("x", "X"),), (("a", "b"),))


def test_all_tables_of_an_evaluation() -> None:
    results = drawn_results("ill", 20) + drawn_results("free", 12, seed=4, healthy=1.0)
    failures = [Failure("scan-9", "ill", "no brain found in the scan")]
    tables = {table.name: table for table in segment_tables(summarise(results), results, failures)}
    assert list(tables) == [
        "overlap", "measures", "by_lesion_volume", "by_time_from_onset", "by_detectability_d", "lesion_free",
        "old_infarct", "calibration", "without_answer", "cases",
    ]  # fmt: skip
    for table in tables.values():
        rows = list(csv.reader(io.StringIO(as_csv(table).split("\n", 1)[1])))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) == len(table.rows) + 1
    cases = list(csv.DictReader(io.StringIO(as_csv(tables["cases"]).split("\n", 1)[1])))
    assert [row["id"] for row in cases] == [case.about.id for case in results]
    assert float(cases[0]["dice"]) == pytest.approx(results[0].counts.dice)
    assert cases[-1]["dice"] == ""
    assert "no brain found in the scan" in as_markdown(tables["without_answer"])


def test_tables_without_rows_are_left_out() -> None:
    results = drawn_results("free", 3, healthy=1.0)
    names = [table.name for table in segment_tables(summarise(results), results, [])]
    assert "overlap" not in names
    assert "without_answer" not in names
    assert "lesion_free" in names
