"""Readers: DICOM, zip archives and NIfTI become a `Scan`, or are refused with one clear line."""

from infarct.readers.read import read_scan

__all__ = ["read_scan"]
