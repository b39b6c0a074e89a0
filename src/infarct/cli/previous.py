"""The findings of an earlier scan that the user names, to compare with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infarct.errors import BadRequest

if TYPE_CHECKING:
    from infarct.findings import EarlierScan

MAX_BYTES = 64 * 2**20
"""No larger file is read: findings take some tens of kilobytes."""

PreviousOption = Annotated[
    Path | None,
    typer.Option(
        "--previous",
        metavar="FINDINGS",
        help="The findings.json of an earlier scan of the same patient: the volume of a follow-up infarct is compared "
        "with it. Findings name no patient: that it is the same one is yours to know.",
    ),
]


def read_previous(path: Path | None, onset_hours: float | None) -> "EarlierScan | None":
    """Return what an earlier scan showed, None where no file is given; this one is so many hours from onset.

    Raises `BadRequest` where the file cannot be read, holds no findings, or those of a scan later after onset.
    """
    if path is None:
        return None
    from infarct.findings import from_json
    from infarct.systems.serial import earlier_scan

    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRequest("--previous takes the findings.json of an earlier scan; that file is too large to be one")
        findings = from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest(f"the file that --previous names cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("--previous takes the findings.json of an earlier scan; that file holds none") from error
    earlier = earlier_scan(findings)
    if earlier.onset_h is not None and onset_hours is not None and earlier.onset_h > onset_hours:
        raise BadRequest(
            f"--previous names a scan {earlier.onset_h:g} h from onset, after this one at {onset_hours:g} h"
        )
    return earlier
