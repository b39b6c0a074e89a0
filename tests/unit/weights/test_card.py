"""The model card as Markdown."""

import numpy as np

from infarct.weights import WeightSet, card_of

CARD = {
    "metrics": [
        {"cohort": "acute|thin", "dice": 0.631234, "cases": 60},
        {"cohort": "none", "dice": None, "cases": 8},
    ],
    "summary": "Trained on\nphantoms.",
    "licence": "Apache-2.0",
    "training": {"seconds": 3601.5, "iterations": 40_000, "optimiser": {"name": "Adam", "decays": True}},
    "known_failures": ["old infarcts", "leukoaraiosis"],
}
WEIGHTS = WeightSet(
    "segment", "segment-x", "se_res_unet", {"base": 16, "strides": [[1, 2, 2]]}, {"threshold": [0.5, 0.25]},
    {"a": np.zeros((50, 30)), "b": np.zeros(2)}, CARD, "0" * 64,
)  # fmt: skip

EXPECTED = f"""# segment-x

Research use only; not a medical device.

|  |  |
| --- | --- |
| system | segment |
| network | se_res_unet |
| network configuration | base 16, strides (1, 2, 2) |
| parameters | 1,502 |
| SHA-256 | {"0" * 64} |
| size | 1.5 MiB |

## Summary

Trained on phantoms.

## Training

- seconds: 3,602
- iterations: 40,000
- optimiser:
  - name: Adam
  - decays: yes

## Metrics

| cohort | dice | cases |
| --- | --- | --- |
| acute\\|thin | 0.6312 | 60 |
| none | none | 8 |

## Known failures

- old infarcts
- leukoaraiosis

## Licence

Apache-2.0

## Settings

- threshold: 0.5, 0.25
"""


def test_a_card_by_hand() -> None:
    assert card_of(WEIGHTS, size_bytes=3 * 2**19).markdown() == EXPECTED
