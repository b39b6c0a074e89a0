"""The head template, its labels, and the registration of a head to it."""

from infarct.atlas.template import TISSUE_CLASSES, Atlas, load_atlas, read_atlas

__all__ = ["TISSUE_CLASSES", "Atlas", "load_atlas", "read_atlas"]
