"""The key images as DICOM secondary captures, with their words burned in."""

from pathlib import Path

from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from infarct.findings import Analysis
from infarct.volume import Scan
from infarct.writers.dicom_objects import RESEARCH, ObjectSet, described, refer, save
from infarct.writers.key_images import KeyImage, draw_captioned, key_images


def write_captures(objects: ObjectSet, scan: Scan, analysis: Analysis, folder: Path) -> tuple[Path, ...]:
    """Write ``sc_NAME.dcm`` for each key image into ``folder``, which exists, and return the paths."""
    return tuple(
        _write_capture(objects, analysis, image, number, folder)
        for number, image in enumerate(key_images(scan, analysis), start=1)
    )


def _write_capture(objects: ObjectSet, analysis: Analysis, image: KeyImage, number: int, folder: Path) -> Path:
    shared = described(objects, kind="sc", number=number, description="infarct: key images")
    capture = SCImage(
        pixel_array=draw_captioned(image, analysis),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        study_instance_uid=objects.study_uid,
        content_qualification=RESEARCH,
        **shared,
    )
    capture.BodyPartExamined, capture.ImageComments = "HEAD", image.picture.alt
    capture.BurnedInAnnotation = "NO"  # what is burned in names nobody
    capture.DateOfSecondaryCapture = DA(objects.made.date())
    capture.TimeOfSecondaryCapture = TM(objects.made.time())
    source = Dataset()
    refer(source, objects, image.slice_index)
    capture.SourceImageSequence = [source]
    return save(capture, objects, folder / f"sc_{image.name}.dcm")
