"""The published networks, one file each, and the registry that names them. Imports torch and nothing else heavy."""

from infarct.networks.registry import NETWORKS, build
from infarct.networks.se_res_unet import SeResUnet, SeResUnetConfig

__all__ = ["NETWORKS", "SeResUnet", "SeResUnetConfig", "build"]
