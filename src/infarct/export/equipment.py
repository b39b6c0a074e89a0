"""Which scanner a phantom scan is said to come from: names as real headers have them, by the protocol's seed."""

from dataclasses import dataclass
from typing import Final

from infarct.phantom.grid import rng
from infarct.phantom.patient import Kernel, Protocol


@dataclass(frozen=True)
class Equipment:
    """Names as a scanner's headers write them; ``kernels`` for filtered back-projection, ``iterative`` otherwise."""

    manufacturer: str
    model: str
    kernels: dict[Kernel, str]
    iterative: dict[Kernel, str]


SCANNERS: Final = (
    Equipment(
        "SIEMENS",
        "SOMATOM Definition AS+",
        {"soft": "H20s", "standard": "H31s", "sharp": "H41s"},
        {"soft": "J30s", "standard": "J37s", "sharp": "J45s"},
    ),
    Equipment(
        "GE MEDICAL SYSTEMS",
        "LightSpeed VCT",
        {"soft": "SOFT", "standard": "STANDARD", "sharp": "STD+"},
        {"soft": "SOFT", "standard": "STANDARD", "sharp": "STD+"},
    ),
    Equipment(
        "Philips",
        "Brilliance 64",
        {"soft": "UA", "standard": "UB", "sharp": "UC"},
        {"soft": "UA", "standard": "UB", "sharp": "UC"},
    ),
    Equipment(
        "TOSHIBA",
        "Aquilion ONE",
        {"soft": "FC20", "standard": "FC21", "sharp": "FC26"},
        {"soft": "FC20", "standard": "FC21", "sharp": "FC26"},
    ),
)


def equipment_of(protocol: Protocol) -> tuple[Equipment, str]:
    """Return the scanner of a protocol and the name of its kernel."""
    scanner = SCANNERS[int(rng(protocol.seed, "equipment").integers(len(SCANNERS)))]
    names = scanner.kernels if protocol.reconstruction == "fbp" else scanner.iterative
    return scanner, names[protocol.kernel]
