"""What is written beside findings.json and report.html: the words of ``--format`` and ``--deidentify``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.writers.formats import Format

FORMAT_CHOICES: "tuple[Format, ...]" = ("pdf", "seg", "sr", "sc", "dicom-pdf", "nifti")
DICOM_CHOICES = ("seg", "sr", "sc", "dicom-pdf")

FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="<str>",
        help=f"What else to write, comma-separated: some of {', '.join(FORMAT_CHOICES)}. "
        f"{', '.join(DICOM_CHOICES)} are DICOM objects and need a DICOM input.",
    ),
]
DeidentifyOption = Annotated[
    bool, typer.Option("--deidentify", help="Leave patient, study and dates out of the DICOM objects.")
]


@dataclass(frozen=True)
class Extras:
    """What is written beside findings and report, and whether DICOM objects leave the patient out.

    ``scan`` is a folder with the scan itself, to be copied beside them; None copies nothing.
    """

    formats: "frozenset[Format]" = frozenset()
    deidentify: bool = False
    scan: Path | None = None


def read_formats(text: str | None, *, deidentify: bool = False) -> Extras:
    """Return what a comma-separated text asks for; None asks for nothing.

    Raises `BadRequest` for an unknown or empty name, and for ``deidentify`` where no DICOM object is asked for.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    formats = frozenset(choice for choice in FORMAT_CHOICES if choice in names)
    unknown = [name for name in names if name not in FORMAT_CHOICES]
    if unknown:
        raise BadRequest(f"--format takes {', '.join(FORMAT_CHOICES)}, comma-separated, not {unknown[0][:40]!r}")
    if deidentify and not formats.intersection(DICOM_CHOICES):
        raise BadRequest(f"--deidentify goes with DICOM objects: --format {', '.join(DICOM_CHOICES)}")
    return Extras(formats, deidentify)
