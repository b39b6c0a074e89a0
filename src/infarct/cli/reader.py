"""What a reader sets by hand: the words of ``--set`` and ``--reader``."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from infarct.anatomy import REGIONS, SIDES
from infarct.errors import BadRequest
from infarct.findings import LONGEST_NAME, Override

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SIDE.REGION=0|1",
        help="A region as you read it, 1 affected or 0 not, such as left.M2=0; as often as needed, with --reader.",
    ),
]
ReaderOption = Annotated[
    str | None, typer.Option("--reader", metavar="NAME", help="Who set the regions: your name, kept in the results.")
]


def read_overrides(texts: Sequence[str] | None, reader: str | None) -> tuple[Override, ...]:
    """Return the regions that a reader sets, stamped with the time of now (UTC, whole seconds).

    Raises `BadRequest` for an unknown side, region or value, a region set twice, regions without a reader, a reader
    without regions, and a name that is empty, longer than 64 characters or not printable.
    """
    if not texts and reader is None:
        return ()
    if not texts:
        raise BadRequest("--reader goes with --set: say which region is to be set")
    if reader is None:
        raise BadRequest("--set needs --reader: say who sets the region")
    name = reader.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadRequest(f"the name of a reader has 1 to {LONGEST_NAME} printable characters")
    known = {f"{side}.{region}": (region, side) for side in SIDES for region in REGIONS}
    values: dict[str, bool] = {}
    for text in texts:
        place, _, value = text.partition("=")
        if place not in known or value not in ("0", "1"):
            raise BadRequest(f"--set takes left or right, a region and 0 or 1, such as left.M2=0, not {text[:40]!r}")
        if place in values:
            raise BadRequest(f"--set names {place} twice")
        values[place] = value == "1"
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tuple(
        Override(region=known[place][0], side=known[place][1], affected=affected, reader=name, at=at)
        for place, affected in values.items()
    )
