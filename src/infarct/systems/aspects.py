"""ASPECTS by DA-Net: each region of both sides as a pair of patches, own and other side compared in feature space.

Source: the ASPECTS paper (Cao et al. 2022, DOI 10.1002/hbm.25845).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from infarct.anatomy import Region, Side
from infarct.networks.da_net import attention_of
from infarct.preprocess.region_input import PAIR, RegionInput, put_back, region_pair
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.scoring import AspectsConfig, Looks, Seen, config_of
from infarct.weights import WeightSet, load_for

METHOD: Final = "da_net"
SYSTEM: Final = "aspects"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Weights on engines, one for each group of regions, ready to read scans."""

    weights: WeightSet
    engines: Mapping[str, Engine]
    config: AspectsConfig

    @property
    def method(self) -> str:
        """Name of the method."""
        return METHOD

    @property
    def engine(self) -> Engine:
        """One of the engines, which are all alike."""
        return next(iter(self.engines.values()))

    def look(self, prepared: RegionInput) -> Looks:
        """Return what the networks make of each region that is there on both sides."""
        found: dict[tuple[Region, Side], Seen] = {}
        setting = self.config.input
        for group in self.config.groups:
            for region in group.regions:
                pair = region_pair(prepared, region, setting)
                if pair is None:
                    continue
                cams = self.engines[group.name].run(pair[None])
                attention = attention_of(torch.from_numpy(cams), setting.patch_zyx)[0].numpy()
                for place, side in enumerate(PAIR):
                    logit = float(cams[0, place].mean(dtype=np.float64))
                    whole = put_back(attention[place], prepared, region, side, setting=setting)
                    found[region, side] = Seen(logit, whole)
        return found


def load_scorer(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> Scorer:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    config = config_of(loaded.settings)
    engines = {
        group.name: make_engine(
            loaded.part(group.name), device=device, precision=precision, engine=engine, cache=cache, threads=threads
        )
        for group in config.groups
    }
    return Scorer(loaded, engines, config)
