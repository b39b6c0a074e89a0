"""ASPECTS by radiomics: features of each region and the other side's, judged by a random forest for each region.

The baseline that Cao et al. 2022 (DOI 10.1002/hbm.25845) compare DA-Net with, in our reading. The features
(`measure.radiomics`) are measured on the very input that DA-Net sees: pixels of 1.5 mm and slices of 5 mm with the
settings of every day (0.5 mm with those of the paper), HU restored from the window of 0 to 60 HU, which leaves out what
is brighter or darker. So what differs between the two methods is how they judge, not what they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from infarct.anatomy import Region
from infarct.errors import BadRequest
from infarct.measure.radiomics import RadiomicsSettings
from infarct.preprocess.region_input import RegionInput
from infarct.systems.region_forests import SYSTEM, Forest, feature_names, forests_of, logits_of, region_table
from infarct.systems.scoring import AspectsConfig, Looks, Seen, config_of
from infarct.weights import WeightSet, load_for

METHOD: Final = "radiomics"
MOST_LEVELS: Final = 1024
"""More grey levels than a wrong number in a weight file may ask for."""


@dataclass(frozen=True)
class RadiomicsConfig(AspectsConfig):
    """What the weights say of their own use, and how regions and their features are measured."""

    radiomics: RadiomicsSettings = field(default_factory=RadiomicsSettings)


@dataclass(frozen=True, eq=False)
class ForestScorer:
    """A forest for each region, ready to read scans."""

    weights: WeightSet
    forests: Mapping[Region, Forest]
    config: RadiomicsConfig

    @property
    def method(self) -> str:
        """Name of the method."""
        return METHOD

    @property
    def engine(self) -> None:
        """None: no network runs."""
        return

    def look(self, prepared: RegionInput) -> Looks:
        """Return what the forests make of each region that can be measured on both sides."""
        table = region_table(prepared, self.config.input, self.config.radiomics)
        return {place: Seen(logit) for place, logit in logits_of(self.forests, table).items()}


def load_forests(weights: str | Path | None = None) -> ForestScorer:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    Raises `BadRequest` where the weights cannot be read or are not for this system.
    """
    return forest_scorer(load_for(SYSTEM, weights))


def forest_scorer(weights: WeightSet) -> ForestScorer:
    """Return the system on loaded weights. Raises `BadRequest` where they are not whole."""
    config = radiomics_config_of(weights.settings)
    names = feature_names(config.radiomics)
    if list(weights.settings.get("features", ())) != list(names):
        raise BadRequest("the weights are for other features than this version of infarct measures")
    return ForestScorer(weights, forests_of(weights.tensors, len(names)), config)


def radiomics_config_of(settings: Mapping[str, Any]) -> RadiomicsConfig:
    """Return the settings that are stored with the weights. Raises `BadRequest` where they are not complete."""
    shared = config_of(settings)
    try:
        radiomics = RadiomicsSettings(**settings["radiomics"])
        if not (radiomics.bin_width_hu > 0 and 1 < radiomics.grey_levels <= MOST_LEVELS and radiomics.distance_mm > 0):
            raise ValueError("bins or distances out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    return RadiomicsConfig(**{part.name: getattr(shared, part.name) for part in fields(shared)}, radiomics=radiomics)
