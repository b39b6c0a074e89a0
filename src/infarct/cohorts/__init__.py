"""Data sets with a reference: one `Case` interface over phantoms, public data sets and a user's own table.

This file imports the interface only, so that phantoms reach training on a machine without DICOM or NIfTI readers.
"""

from infarct.cohorts.aspects import AspectsTruth
from infarct.cohorts.case import Case, Clinical, Cohort, LabelledScan, LeftOut, Paired, Target

__all__ = ["AspectsTruth", "Case", "Clinical", "Cohort", "LabelledScan", "LeftOut", "Paired", "Target"]
