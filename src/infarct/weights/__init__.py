"""Trained weights: files that hold no code, the ones shipped with infarct, and their model cards. Needs no torch."""

from infarct.weights.card import card_of
from infarct.weights.store import (
    ShippedWeights,
    default_weights,
    file_of,
    load_for,
    load_weights,
    save_weights,
    ship,
    shipped,
)
from infarct.weights.weight_set import WeightSet

__all__ = [
    "ShippedWeights",
    "WeightSet",
    "card_of",
    "default_weights",
    "file_of",
    "load_for",
    "load_weights",
    "save_weights",
    "ship",
    "shipped",
]
