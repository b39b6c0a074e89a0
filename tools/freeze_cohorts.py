"""Write the table of frozen phantom cohorts: preset, split, number of patients and SHA-256 of their parameters.

Run it only to change what a cohort is: results measured on the old one no longer compare. Run: python
tools/freeze_cohorts.py
"""

import json
from pathlib import Path

from infarct.phantom.presets import FROZEN_SPLITS, TEST_SIZES, cohort_digest

TABLE = Path(__file__).parents[1] / "src/infarct/phantom/frozen.json"


def main() -> None:
    """Draw all frozen patients and write the table."""
    table = {
        preset: {split: {"count": count, "sha256": cohort_digest(preset, split, count)} for split in FROZEN_SPLITS}
        for preset, count in TEST_SIZES.items()
    }
    TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
