"""Random numbers by name: a stream a part of a patient, and distributions given by their quantiles.

Every draw takes one uniform number from its stream and inverts a distribution function, so numbers depend only on the
raw bits of Philox, which numpy keeps fixed, and not on how numpy makes normal or discrete numbers of them. Results are
rounded, so that the last bit of a logarithm does not change the hash of a cohort on another machine.

Where a paper prints the distribution of a quantity, its uniform numbers are not random but even (`Stream.even`): a
cohort of 300 then has the printed figures, while each patient's number still depends on its own index alone.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final, Literal, TypeVar

from infarct.phantom.grid import rng
from infarct.phantom.patient import SPLITS, Split

Choice = TypeVar("Choice")

NORMAL: Final = NormalDist()
SMALLEST: Final = 1e-9
"""Uniform numbers stay this far from 0 and 1, where normal scores are infinite."""
DECIMALS: Final = 4
SEED_BITS: Final = 56

STROKE_PHASE: Final = 0.625

Printed = Literal[
    "stroke", "site", "onset", "interval", "age", "sex", "nihss", "nihss_after", "mrs", "hemorrhage", "pixel"
]
"""Quantities whose distribution a paper prints; "stroke" is the class and the place of the volume within it."""
EVEN_ROOTS: Final[dict[Printed, int]] = {
    "stroke": 5,
    "site": 2,
    "onset": 3,
    "interval": 17,
    "age": 7,
    "sex": 43,
    "nihss": 13,
    "nihss_after": 41,
    "mrs": 19,
    "hemorrhage": 37,
    "pixel": 31,
}
"""Primes p whose quadratic irrationals, the root of p or (1 + root) / 2, are the steps of the even numbers.

The golden ratio (5) fills an interval most evenly. Roots of different primes are independent over the rationals, so any
two quantities together fill the unit square evenly, and their correlation falls with the number of patients.
"""


def even_step(quantity: Printed) -> float:
    """Return the fraction of the quadratic irrational that a quantity's even numbers advance by a patient."""
    prime = EVEN_ROOTS[quantity]
    root = math.sqrt(prime)
    return ((1.0 + root) / 2.0 if prime % 4 == 1 else root) % 1.0


@cache
def even_phase(split: Split, preset: str, quantity: Printed) -> float:
    """Return where a quantity's even numbers begin (0-1): at a fixed random place, classes of strokes a quarter apart.

    Of 300 even numbers 3 to 6 fall into a class as rare as 1.4 %, 4.2 on average, and no number but 4 is within 10 % of
    that; `STROKE_PHASE` is one with which 4 of the first 300 of each split do.
    """
    if quantity == "stroke":
        return (STROKE_PHASE + SPLITS.index(split) / len(SPLITS)) % 1.0
    return float(rng(0, "even", split, preset, quantity).random())


def pick(weights: Mapping[Choice, float], share: float) -> Choice:
    """Return the key in whose part of the weights ``share`` (0-1) lies; weights need not add up to 1."""
    left = share * sum(weights.values())
    for key, weight in weights.items():
        left -= weight
        if left < 0:
            return key
    return max(weights, key=lambda key: weights[key])


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

    def __init__(self, index: int, split: Split, preset: str, part: str) -> None:
        self._random = rng(index, split, preset, part)
        self._cohort = index, split, preset
        self._seed_space = SPLITS.index(split) << SEED_BITS

    def even(self, quantity: Printed) -> float:
        """Return a number above 0 and below 1 that fills the interval evenly from patient to patient.

        It advances by `even_step` with the index (a Kronecker sequence) from a phase that split, preset and quantity
        fix. All parts of a patient find the same number.
        """
        index, split, preset = self._cohort
        share = (even_phase(split, preset, quantity) + index * even_step(quantity)) % 1.0
        return min(max(share, SMALLEST), 1 - SMALLEST)

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
        return pick(weights, self.share())

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
