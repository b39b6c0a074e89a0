"""What --set and --reader take, and what they refuse."""

from datetime import UTC, datetime, timedelta

import pytest

from infarct.anatomy import REGIONS, SIDES
from infarct.cli.reader import read_overrides
from infarct.errors import BadRequest


def test_regions_are_read_in_their_order_with_reader_and_time() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    first, second = read_overrides(["right.I=1", "left.M2=0"], "  A. Reader ")
    assert (first.side, first.region, first.affected, first.reader) == ("right", "I", True, "A. Reader")
    assert (second.side, second.region, second.affected) == ("left", "M2", False)
    assert first.at == second.at
    at = datetime.strptime(first.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(0) <= at - before < timedelta(minutes=5)


def test_every_region_of_both_sides_can_be_set() -> None:
    names = [f"{side}.{region}" for side in SIDES for region in REGIONS]
    got = read_overrides([f"{name}=1" for name in names], "R")
    assert [f"{one.side}.{one.region}" for one in got] == names


@pytest.mark.parametrize("texts", [None, []])
def test_nothing_set_is_nothing(texts: list[str] | None) -> None:
    assert read_overrides(texts, None) == ()


@pytest.mark.parametrize(
    "text",
    ["", "left.M2", "left.M2=", "left.M2=2", "left.M2=1=1", "left.M7=1", "left.m2=1", "Left.M2=1", "M2.left=1", "M2=1"],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^--set takes left or right, a region and 0 or 1, such as left\.M2=0"):
        read_overrides([text], "R")


@pytest.mark.parametrize(
    ("texts", "reader", "told"),
    [
        (["left.M2=0"], None, "needs --reader"),
        (None, "R", "goes with --set"),
        (["left.M2=0", "left.M2=1"], "R", "names left.M2 twice"),
        (["left.M2=0"], "", "1 to 64 printable"),
        (["left.M2=0"], "   ", "1 to 64 printable"),
        (["left.M2=0"], "x" * 65, "1 to 64 printable"),
        (["left.M2=0"], "A\nB", "1 to 64 printable"),
        (["left.M2=0"], "A\x1b[31m", "1 to 64 printable"),
    ],
)
def test_regions_and_reader_go_together_and_a_name_is_a_name(
    texts: list[str] | None, reader: str | None, told: str
) -> None:
    with pytest.raises(BadRequest, match=told) as refusal:
        read_overrides(texts, reader)
    assert "\n" not in str(refusal.value)


def test_a_name_may_have_64_characters_of_any_script() -> None:
    (got,) = read_overrides(["left.M2=0"], "Ж" * 64)
    assert got.reader == "Ж" * 64
