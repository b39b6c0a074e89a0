"""The torch module of a weight set, for the torch engine and for conversion."""

import numpy as np
import torch
from torch import nn

from infarct.errors import BadRequest
from infarct.networks import build
from infarct.weights import WeightSet


def torch_module(weights: WeightSet) -> nn.Module:
    """Return the network of ``weights`` in float32 on the processor, ready to infer.

    Raises `BadRequest` where there is no such network or the tensors are not its own.
    """
    module = build(weights.network, weights.network_config)
    tensors = {key: torch.from_numpy(values.astype(np.float32)) for key, values in weights.tensors.items()}
    try:
        module.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise BadRequest(f"the weights {weights.name[:40]!r} do not fit the network that they name") from error
    return module.eval().requires_grad_(False)
