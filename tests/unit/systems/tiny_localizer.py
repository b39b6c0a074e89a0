"""Localizers for tests: an engine that finds dark tiles, a head that it is right about, and a tiny random network."""

from dataclasses import asdict, replace

import numpy as np
import torch

from infarct.networks import build
from infarct.preprocess.tile_input import EVERYDAY
from infarct.systems.localize import BATCH, LocalizeConfig, Localizer
from infarct.types import Float32Array
from infarct.weights import WeightSet
from plain_head import PlainPatient

CONFIG = LocalizeConfig(
    input=EVERYDAY,
    temperature=1.0,
    bias=0.0,
    threshold=0.5,
    whole_threshold=0.5,
    calibrated_on="phantoms",
)


class DarkTiles:
    """An engine that sees an infarct where the tile itself is darker than the brain by 5 HU, in the mean.

    Its logit is the same for a mirrored tile.
    """

    name, version, precision, device, threads = "torch", "0", "fp32", "cpu", 1

    def run(self, batch: Float32Array) -> Float32Array:
        assert len(batch) <= BATCH
        tile = slice(18, 30)  # the tile itself is the middle quarter of what is seen
        logit = 40 * (-0.25 - batch[:, 0, tile, tile].mean(axis=(1, 2)))
        return np.stack([logit, -logit], axis=1).astype(np.float32)


def flat_patient(patient: PlainPatient) -> PlainPatient:
    """Return the patient with one density in all of the brain, 10 HU less in the infarct, and bone around it."""
    truth = patient.truth
    hu = np.where(truth.intracranial, np.where(truth.infarct, 25.0, 35.0), 1000.0).astype(np.float32)
    return replace(patient, scan=replace(patient.scan, hu=hu))


def dark_localizer(**changes: object) -> Localizer:
    weights = WeightSet("localize", "fake", "vgg16", {}, {}, {"a": np.zeros(1, np.float16)}, {})
    return Localizer(weights, DarkTiles(), replace(CONFIG, **changes))  # type: ignore[arg-type]


def tiny_weights(**settings: object) -> WeightSet:
    """Return random weights of a VGG16 with few channels, on tiles of 32 pixels."""
    torch.manual_seed(0)
    config = {"in_channels": EVERYDAY.channels, "size_px": 32, "width": 0.05, "dense": [8], "dropout": [0.1]}
    tensors = {key: values.numpy() for key, values in build("vgg16", config).state_dict().items()}
    stored = {**asdict(CONFIG), "input": asdict(replace(EVERYDAY, size_px=32)), **settings}
    del stored["overlap"]
    return WeightSet("localize", "localize-tiny", "vgg16", config, stored, tensors, {})
