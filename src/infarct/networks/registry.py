"""Every network by its name, built from plain data as it stands in a weight file or a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from infarct.errors import BadRequest
from infarct.networks.da_net import DaNet, DaNetConfig
from infarct.networks.dncnn import DnCnn, DnCnnConfig
from infarct.networks.googlenet import GoogLeNet, GoogLeNetConfig
from infarct.networks.inception_resnet_v2 import InceptionResNetV2, InceptionResNetV2Config
from infarct.networks.inception_v3 import InceptionV3, InceptionV3Config
from infarct.networks.inception_v4 import InceptionV4, InceptionV4Config
from infarct.networks.patch_cnn import DensePatchCnn, PatchCnn, PatchCnnConfig
from infarct.networks.pooled_unet import PooledUnet, PooledUnetConfig
from infarct.networks.resnet50 import ResNet50, ResNet50Config
from infarct.networks.se_res_unet import SeResUnet, SeResUnetConfig
from infarct.networks.vb_net import VbNet, VbNetConfig
from infarct.networks.vgg16 import Vgg16, Vgg16Config


@dataclass(frozen=True)
class Network:
    """A registered network: its frozen configuration, whose defaults make the published one, and its module."""

    config: Callable[..., Any]
    module: Callable[[Any], nn.Module]


NETWORKS: Final[dict[str, Network]] = {
    "se_res_unet": Network(SeResUnetConfig, SeResUnet),
    "vb_net": Network(VbNetConfig, VbNet),
    "da_net": Network(DaNetConfig, DaNet),
    "vgg16": Network(Vgg16Config, Vgg16),
    "resnet50": Network(ResNet50Config, ResNet50),
    "googlenet": Network(GoogLeNetConfig, GoogLeNet),
    "inception_v3": Network(InceptionV3Config, InceptionV3),
    "inception_v4": Network(InceptionV4Config, InceptionV4),
    "inception_resnet_v2": Network(InceptionResNetV2Config, InceptionResNetV2),
    "dncnn": Network(DnCnnConfig, DnCnn),
    "patch_cnn": Network(PatchCnnConfig, PatchCnn),
    "patch_cnn_dense": Network(PatchCnnConfig, DensePatchCnn),
    "pooled_unet": Network(PooledUnetConfig, PooledUnet),
}
"""The networks that `build` knows; tests in tests/contracts run over all of them."""


def build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """Return the network ``name`` with fresh weights, made with the fields of ``config``; lists may stand for tuples.

    Raises `BadRequest` where the name is unknown or the fields do not make such a network.
    """
    if name not in NETWORKS:
        raise BadRequest(f"there is no network {name[:40]!r}; there are: {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    try:
        return network.module(network.config(**{key: _frozen(value) for key, value in config.items()}))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BadRequest(f"the configuration does not make a network {name!r} ({error})") from error


def _frozen(value: Any) -> Any:
    """Return ``value`` with tuples in place of lists, at any depth."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
