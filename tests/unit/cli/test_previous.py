"""The findings of an earlier scan: what is taken from them, and what is refused with one line."""

import json
from pathlib import Path

import pytest

from infarct.cli.previous import read_previous
from infarct.errors import BadRequest
from infarct.findings import to_json
from unit.findings.test_findings import findings
from unit.systems.test_serial import late


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return the findings of a scan 24 h from onset, as a file."""
    made = findings(followup_infarct=late())
    provenance = made.provenance.model_copy(update={"config": {"request": {"onset_hours": 24.0}}})
    path = tmp_path / "findings.json"
    path.write_text(to_json(made.model_copy(update={"provenance": provenance})))
    return path


def test_no_file_is_no_earlier_scan() -> None:
    assert read_previous(None, 30.0) is None


@pytest.mark.parametrize("hours", [24.0, 72.0, None])
def test_what_the_file_says_is_taken(stored: Path, hours: float | None) -> None:
    earlier = read_previous(stored, hours)
    assert earlier is not None
    assert (earlier.section, earlier.volume_ml, earlier.onset_h) == ("followup_infarct", 50.0, 24.0)
    assert (earlier.midline_shift_mm, earlier.midline_shift_side) == (5.0, "right")


def test_a_later_scan_is_refused(stored: Path) -> None:
    with pytest.raises(BadRequest, match="24 h from onset, after this one at 12 h"):
        read_previous(stored, 12.0)


def changed(path: Path, **fields: object) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return path


def test_an_earlier_schema_is_read(stored: Path) -> None:
    old = json.loads(stored.read_text())
    for name in ("mean_hu", "heidelberg", "side", "earlier", "midline_shift_side", "midline_shift_change_mm"):
        del old["followup_infarct"][name]
    del old["hemorrhage"]["method"]
    stored.write_text(json.dumps({**old, "schema_version": "1.3"}))
    earlier = read_previous(stored, 30.0)
    assert earlier is not None
    assert earlier.volume_ml == 50.0


@pytest.mark.parametrize("version", ["1.99", "2.0", "0.9", "", "1", "1.x", None, 1.4])
def test_another_schema_is_refused(stored: Path, version: object) -> None:
    with pytest.raises(BadRequest, match="holds none"):
        read_previous(changed(stored, schema_version=version), 30.0)


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", "null", "[" * 100_000, '{"schema_version": "1.4"}'])
def test_what_holds_no_findings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadRequest, match="holds none"):
        read_previous(path, 30.0)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(BadRequest, match="cannot be read"):
            read_previous(path, None)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadRequest, match="holds none"):
        read_previous(binary, None)


def test_an_unknown_field_is_refused(stored: Path) -> None:
    with pytest.raises(BadRequest, match="holds none"):
        read_previous(changed(stored, patient="x"), 30.0)
