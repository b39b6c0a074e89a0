"""Weights trained on ImageNet, from a file that the user has, for the convolutions of a `TransferNetwork`.

Files: safetensors, or a state dict of torch, which is read without executing anything. Tensors are named as in
torchvision (VGG16, ResNet50, GoogLeNet, Inception-v3) or timm (Inception-v4, Inception-ResNet-v2). Every tensor of the
convolutional part must be there and fit; classifiers are passed over.

The first convolution was trained on three colours. For a grey patch its weights are summed over them: the answer is
that to three equal channels, for a third of the work. A second channel, the tile at the mirrored place, begins with
weights of zero: the network starts as that of one tile, and training finds out what the other is good for. Shared out
between the two, the weights would show it the mean of both, in which a lesion is half as deep and has no side.

Grey values from 0 to 1 are what the networks know after 0.45 is subtracted and 0.226 divides them (VGG16, ResNet50: the
means over the colours), or 0.5 and 0.5 (the others).
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from infarct.errors import BadRequest, UnreadableInput
from infarct.networks.transfer import ImageNetNames, TransferNetwork

COLOURS: Final = 3
HEADER_START: Final = 8
"""In a safetensors file a JSON object begins at this byte."""
BATCH_NORM: Final = {"running_mean": "mean", "running_var": "variance"}
"""Our names of what a normalisation remembers, by those of torch."""
UNUSED: Final = "num_batches_tracked"


def load_pretrained(network: nn.Module, path: Path, *, grey: bool = False) -> None:
    """Give the convolutions of ``network`` the weights in the file ``path``; the rest of it stays as it is.

    Three channels are colours, unless they are ``grey``: then only the first is the patch, as it is of two.

    Raises `UnreadableInput` where the file cannot be read as a table of tensors, `BadRequest` where its tensors are not
    those of the network or the network is none that is trained on ImageNet.
    """
    if not isinstance(network, TransferNetwork):
        raise BadRequest("weights trained on ImageNet are for the networks of localize only")
    own = network.features.state_dict()
    found = _in_own_names(_read(path), network.imagenet)
    first = next(iter(own))
    if first in found and found[first].shape[1:2] == (COLOURS,):
        found[first] = _of_colours(found[first], network.config.in_channels, grey=grey)
    problem = _misfit(own, found)
    if problem:
        name = type(network).__name__
        raise BadRequest(f"the weights are not those of {name} as {network.imagenet.source} stores them: {problem}")
    network.features.load_state_dict(found)


def _in_own_names(stored: Mapping[str, Tensor], names: ImageNetNames) -> dict[str, Tensor]:
    """Return the tensors of the convolutional part, and those that nobody knows, under our names."""
    found = {}
    for name, values in stored.items():
        module, dot, kind = names.own(name).rpartition(".")
        if name.partition(".")[0] not in names.others and kind != UNUSED:
            found[f"{module}{dot}{BATCH_NORM.get(kind, kind)}"] = values
    return found


def _of_colours(weights: Tensor, channels: int, *, grey: bool) -> Tensor:
    """Return the weights (k, 3, y, x) of a convolution on colours for patches of as many channels, grey or of them."""
    if channels == COLOURS and not grey:
        return weights
    summed = weights.sum(dim=1, keepdim=True)
    return torch.cat([summed, *[torch.zeros_like(summed)] * (channels - 1)], dim=1)


def _misfit(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return in words what keeps the tensors ``found`` from being ``own``, or nothing."""
    for said, names in (("has no", own.keys() - found.keys()), ("has an unknown", found.keys() - own.keys())):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"the file {said} tensor {min(names)[:60]!r}{others}"
    for name, values in found.items():
        if values.shape != own[name].shape:
            return f"the tensor {name!r} has shape {tuple(values.shape)}, not {tuple(own[name].shape)}"
        if not values.is_floating_point() or not values.isfinite().all():
            return f"the tensor {name!r} holds values that are not finite floating-point numbers"
    return ""


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            start = file.read(HEADER_START + 1)
    except OSError as error:
        raise UnreadableInput(f"the file of pretrained weights cannot be read ({error.strerror})") from error
    stored = _safetensors(path) if start[HEADER_START:] == b"{" else _state_dict(path)
    if not isinstance(stored, Mapping) or not all(
        isinstance(name, str) and isinstance(values, Tensor) for name, values in stored.items()
    ):
        raise UnreadableInput("the file of pretrained weights holds no table of named tensors")
    return dict(stored)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UnreadableInput("the file of pretrained weights is damaged: its tensors cannot be read") from error


def _state_dict(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableInput(
            "the file of pretrained weights is neither safetensors nor a plain state dict of torch, or it is damaged"
        ) from error
