"""Random numbers by name: a stream a part of a patient, and distributions given by their quantiles.

Every draw takes one uniform number from its stream and inverts a distribution function, so numbers depend only on the
raw bits of Philox, which numpy keeps fixed, and not on how numpy makes normal or discrete numbers of them. Results are
rounded, so that the last bit of a logarithm does not change the hash of a cohort on another machine.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeVar

from infarct.phantom.grid import rng
from infarct.phantom.patient import SPLITS, Split

Choice = TypeVar("Choice")

NORMAL: Final = NormalDist()
SMALLEST: Final = 1e-9
"""Uniform numbers stay this far from 0 and 1, where normal scores are infinite."""
DECIMALS: Final = 4
SEED_BITS: Final = 56


def normal_score(share: float) -> float:
    """Return the standard normal quantile of a share (0-1)."""
    return NORMAL.inv_cdf(min(max(share, SMALLEST), 1 - SMALLEST))


@dataclass(frozen=True)
class Quantiles:
    """A distribution by its quantile function: straight lines between (share, value), shares rising from 0 to 1.

    With ``logarithmic`` the logarithm of the value is interpolated; values are then above 0.
    """

    points: tuple[tuple[float, float], ...]
    logarithmic: bool = False

    def __call__(self, share: float) -> float:
        """Return the value below which ``share`` of the distribution lies."""
        index = min(bisect_right(self.points, share, key=lambda point: point[0]), len(self.points) - 1)
        (low, start), (high, end) = self.points[index - 1], self.points[index]
        part = (share - low) / (high - low)
        if self.logarithmic:
            return start * math.exp(part * math.log(end / start))
        return start + (end - start) * part

    def share_below(self, value: float) -> float:
        """Return the share of the distribution below ``value``."""
        if value >= self.points[-1][1]:
            return 1.0
        index = bisect_right(self.points, value, key=lambda point: point[1])
        if index == 0:
            return 0.0
        (low, start), (high, end) = self.points[index - 1], self.points[index]
        ratio = math.log(value / start) / math.log(end / start) if self.logarithmic else (value - start) / (end - start)
        return low + (high - low) * ratio


class Stream:
    """The random numbers of one part of one patient."""

    def __init__(self, index: int, split: Split, *names: str) -> None:
        self._random = rng(index, split, *names)
        self._seed_space = SPLITS.index(split) << SEED_BITS

    def share(self) -> float:
        """Return a uniform number above 0 and below 1."""
        return min(max(float(self._random.random()), SMALLEST), 1 - SMALLEST)

    def uniform(self, low: float, high: float) -> float:
        """Return a uniform number between two limits."""
        return round(low + (high - low) * self.share(), DECIMALS)

    def score(self) -> float:
        """Return a standard normal number, not rounded."""
        return NORMAL.inv_cdf(self.share())

    def normal(self, mean: float, sd: float, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a normal number, cut off at ``low`` and ``high``: what lies outside is not drawn."""
        bottom, top = NORMAL.cdf((low - mean) / sd), NORMAL.cdf((high - mean) / sd)
        value = mean + sd * normal_score(bottom + (top - bottom) * self.share())
        return round(min(max(value, low), high), DECIMALS)

    def lognormal(self, median: float, cv: float, low: float = 0.0, high: float = math.inf) -> float:
        """Return a lognormal number by its median and its coefficient of variation, cut off at ``low`` and ``high``."""
        sd = math.sqrt(math.log(1 + cv * cv))
        bottom = NORMAL.cdf(math.log(low / median) / sd) if low > 0 else 0.0
        top = NORMAL.cdf(math.log(high / median) / sd)
        value = median * math.exp(sd * normal_score(bottom + (top - bottom) * self.share()))
        return round(min(max(value, low), high), DECIMALS)

    def quantile(self, quantiles: Quantiles) -> float:
        """Return a number of a distribution given by its quantiles."""
        return round(quantiles(self.share()), DECIMALS)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.share() < probability

    def choice(self, weights: Mapping[Choice, float]) -> Choice:
        """Return one of the keys, each as often as its weight says; weights need not add up to 1."""
        left = self.share() * sum(weights.values())
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        return max(weights, key=lambda key: weights[key])

    def count(self, mean: float, most: int) -> int:
        """Return a Poisson number, at most ``most``."""
        left, number, weight = self.share(), 0, math.exp(-mean)
        while left >= weight and number < most:
            left -= weight
            number += 1
            weight *= mean / number
        return number

    def seed(self) -> int:
        """Return a seed for the renderer; no two splits share any."""
        return self._seed_space + (int(self._random.bit_generator.random_raw()) >> (64 - SEED_BITS))
