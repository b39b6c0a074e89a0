"""What is to be made: a cohort of phantom patients."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from infarct import __version__
from infarct.phantom import Pair, Preset, Split

Format = Literal["nifti", "dicom"]
LAYOUT: Final = 1
"""Raised when files are named or laid out otherwise: an older cohort is then not continued."""


@dataclass(frozen=True)
class CohortOrder:
    """Which patients to make, what of each, and how to store it.

    ``seed`` is the index of the first patient: patients ``seed`` to ``seed + count - 1`` are made, and each is the
    same in whatever cohort it stands.
    """

    preset: Preset
    split: Split
    seed: int
    count: int
    format: Format
    pairs: tuple[Pair, ...]

    @property
    def indices(self) -> range:
        """Indices of the patients."""
        return range(self.seed, self.seed + self.count)

    def settings(self) -> dict[str, Any]:
        """Return what all subjects of one folder must share, as stored in ``cohort.json``."""
        chosen = asdict(self) | {"pairs": sorted(self.pairs), "layout": LAYOUT, "infarct_version": __version__}
        return {name: value for name, value in chosen.items() if name not in ("seed", "count")}


def subject_name(index: int) -> str:
    """Return the name of a subject's folders, such as ``sub-0007``."""
    return f"sub-{index:04d}"
