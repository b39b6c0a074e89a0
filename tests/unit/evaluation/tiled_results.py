"""Made-up results of tiles: many patients, a method that is right by a given skill."""

import numpy as np

from infarct.evaluation.localize import Clusters, LocalizeAbout, LocalizeResult

CLASSES = (
    ("supratentorial", "cortical", ">1.5 cm"),
    ("supratentorial", "subcortical", "0.5-1.5 cm"),
    ("supratentorial", "both", ">1.5 cm"),
    ("infratentorial", None, ">1.5 cm"),
)


def tiled(
    about: LocalizeAbout, infarct: tuple[float, ...], normal: tuple[float, ...], *, false: int = 0
) -> LocalizeResult:
    """Return a result whose grid has the balanced tiles; what is called is marked."""
    touch = sum(score >= 0.5 for score in infarct)
    return LocalizeResult(about, 0.5, 0.5, infarct, normal, infarct, normal, 1, Clusters(touch, false, 0), 2.0)


def drawn_tiles(group: str, count: int, *, skill: float = 1.5, told: bool = True) -> list[LocalizeResult]:
    """Return ``count`` patients with an infarct, of all classes in turn where these are ``told``."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        region, area, size = CLASSES[index % 4] if told else (None, None, None)
        small = size == "0.5-1.5 cm"
        about = LocalizeAbout(
            id=f"scan-{index}", patient=f"patient-{index}", group=group, ill=True,
            lesion_ml=0.5 if small else 12.0,
            lesion_mm=float(random.uniform(5, 15) if small else random.uniform(16, 70)),
            onset_h=float(random.uniform(1, 12)), detectability=float(10 ** random.uniform(-0.5, 1.5)),
            region=region, area=area, size=size, kvp=(100.0, 120.0)[index % 2], thickness_mm=5.0,
        )  # fmt: skip
        tiles = 2 if small else 20
        signal, noise = random.normal(skill / 2, 1, tiles), random.normal(-skill / 2, 1, tiles)
        scores = (tuple((1 / (1 + np.exp(-values))).round(4).tolist()) for values in (signal, noise))
        infarct, normal = scores
        found.append(tiled(about, infarct, normal, false=index % 3))
    return found
