import json
from pathlib import Path

from synthetic_head import CaseMaker

from infarct.findings import Findings
from infarct.writers import write_json


def test_the_file_holds_the_findings_and_can_be_read_back(case: CaseMaker, tmp_path: Path) -> None:
    _, analysis = case("lesion")
    path = write_json(analysis, tmp_path)
    assert path == tmp_path / "findings.json"
    assert Findings.model_validate_json(path.read_text(encoding="utf-8")) == analysis.findings
    assert json.loads(path.read_text(encoding="utf-8"))["localization"] is None
