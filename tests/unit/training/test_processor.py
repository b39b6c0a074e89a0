"""What the system tells of its processor."""

from pathlib import Path

import pytest

from infarct.training import processor

X86 = "processor\t: 0\nmodel name\t: A Processor 9\nflags\t\t: fpu avx512f avx512_bf16\n"


def test_name_and_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "CPUINFO", path)
    path.write_text(X86 + X86)
    assert processor.processor_name() == "A Processor 9"
    assert processor.computes_in_bf16()
    path.write_text(X86.replace(" avx512_bf16", ""))
    assert not processor.computes_in_bf16()
    path.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert processor.computes_in_bf16()


def test_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "missing")
    assert processor.processor_name()
    assert not processor.computes_in_bf16()
