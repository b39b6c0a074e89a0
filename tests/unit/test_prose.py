"""Names and sentences."""

import pytest

from infarct.prose import listed, sentence


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed(names: list[str], expected: str) -> None:
    assert listed(names) == expected


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("left M1", "Left M1"), ("ASPECTS", "ASPECTS")])
def test_a_sentence_begins_with_a_capital(text: str, expected: str) -> None:
    assert sentence(text) == expected
