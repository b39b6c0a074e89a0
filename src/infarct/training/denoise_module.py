"""A recipe for DnCNN as lightning wants it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from infarct.networks.dncnn import DnCnn
from infarct.preprocess.window import Window
from infarct.runtime import Engine
from infarct.systems.denoise import less_noise
from infarct.training.denoise_cases import StoredPair
from infarct.training.denoise_data import with_noise
from infarct.training.denoise_recipe import DenoiseRecipe
from infarct.training.module import RecipeModule, fresh
from infarct.training.recipe import Precision
from infarct.training.validation import ModuleEngine

NETWORK: Final = "dncnn"


@dataclass(frozen=True)
class NoiseScore:
    """Mean squared error in units of the window against the picture without noise: of the ``noisy``, and of the
    ``denoised`` one.
    """

    noisy: float
    denoised: float


class DenoiseModule(RecipeModule):
    """Trains the network of a recipe; ``validation`` are whole cases."""

    def __init__(self, recipe: DenoiseRecipe, *, validation: Sequence[StoredPair], about: dict[str, Any]) -> None:
        network = fresh(NETWORK, recipe.network_config, recipe.seed)
        assert isinstance(network, DnCnn)
        if recipe.silent:
            for parameter in network.layers[-1].parameters():
                nn.init.zeros_(parameter)
        super().__init__(recipe, network, about=about)
        self.recipe = recipe
        self._validation = validation
        self._scores: list[NoiseScore] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of a batch, half the squared error summed over a patch (formula 1), and log it."""
        missed = self.network(batch["noisy"]).float() - batch["noise"]
        loss: Tensor = missed.square().sum() / (2 * len(missed))
        self.log("loss", loss.detach())
        self.log_rate()
        return loss

    def validation_step(self, number: int, _: int) -> None:
        """Denoise a whole validation case and keep its score."""
        precision: Precision = "bf16" if self.about["machine"]["precision"] == "bf16" else "fp32"
        engine = ModuleEngine(self.best_network, device=self.device, precision=precision)
        self._scores.append(score_pair(self._validation[number], engine, self.recipe.phantoms.setting))

    def on_validation_epoch_end(self) -> None:
        """Log the summary over the cases of all devices."""
        scores = self.of_all_devices(self._scores)
        self._scores = []
        self.tell(summary_of(scores), cases=len(scores))


def score_pair(case: StoredPair, engine: Engine, window: Window, *, factor: float = 1.0) -> NoiseScore:
    """Return how much nearer a network brings a case, with ``factor`` times its noise, to the one without noise."""
    clean = case.clean.astype(np.float32)
    noisy = with_noise(case.clean, case.noisy, factor)
    shown = window.apply(clean)
    errors = [float(np.mean((window.apply(hu) - shown) ** 2)) for hu in (noisy, less_noise(noisy, engine, window))]
    return NoiseScore(errors[0], errors[1])


def summary_of(scores: Sequence[NoiseScore]) -> dict[str, float]:
    """Return what is logged of cases: the mean PSNR in dB (which is the score), and by how much it has grown."""
    if not scores:
        return {"val_score": 0.0}
    noisy, denoised = (
        -10 * np.log10(np.maximum(errors, np.finfo(float).tiny))
        for errors in ([score.noisy for score in scores], [score.denoised for score in scores])
    )
    psnr = float(denoised.mean())
    return {"val_score": psnr, "val_psnr": psnr, "val_psnr_gain": float((denoised - noisy).mean())}
