"""Scans with known truth."""

from infarct.phantom.demo import DemoPatient, DemoSetup, DemoTruth, Pose, make_demo_patient

__all__ = ["DemoPatient", "DemoSetup", "DemoTruth", "Pose", "make_demo_patient"]
