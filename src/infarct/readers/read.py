"""From any supported input to a `Scan`."""

from pathlib import Path

from infarct.errors import NotHeadCT, UnreadableInput
from infarct.quiet import quiet
from infarct.readers.archive import is_zip, unpacked
from infarct.readers.dicom_files import Progress, find_images, read_images
from infarct.readers.dicom_image import Image
from infarct.readers.dicom_series import candidates, chosen, explain, stray_flags
from infarct.readers.dicom_volume import read_series
from infarct.readers.nifti import is_nifti, read_nifti
from infarct.volume import Scan


def read_scan(path: Path, *, series_uid: str | None = None, progress: Progress | None = None) -> Scan:
    """Read a head CT.

    Parameters
    ----------
    path:
        A folder of DICOM files (searched recursively, any names), a zip file of one, one enhanced multi-frame
        DICOM file, or a NIfTI file.
    series_uid:
        The series to read; if None, the non-contrast axial head series is chosen and the choice explained in
        ``Scan.source.series_choice``.
    progress:
        Called with (done, total) after every header and then after every slice.

    Returns
    -------
    The scan, in HU on its own geometry, with flags for everything doubtful.

    Raises
    ------
    Refusal
        `UnreadableInput`, `NotHeadCT` or `BadRequest`, each with one line that holds neither path nor patient data.
    """
    with quiet():
        if path.is_dir():
            return _from_images(find_images(path, progress).images, series_uid, progress)
        if not path.is_file():
            raise UnreadableInput("the input does not exist; pass a DICOM folder, a zip file or a NIfTI file")
        if is_zip(path):
            with unpacked(path) as folder:
                return _from_images(find_images(folder, progress).images, series_uid, progress)
        if is_nifti(path):
            return read_nifti(path)
        return _from_images(_single_file(path), series_uid, progress)


def _single_file(path: Path) -> tuple[Image, ...]:
    images = read_images(path)
    if not images:
        raise UnreadableInput("the file is neither DICOM, NIfTI nor zip; pass a DICOM folder or a NIfTI file")
    if len(images) == 1:
        raise UnreadableInput("the file holds a single DICOM image; pass the folder that holds the whole series")
    return images


def _from_images(images: tuple[Image, ...], series_uid: str | None, progress: Progress | None) -> Scan:
    """Read the best series that shows a head; one that turns out to show something else gives way to the next."""
    everything = candidates(images)
    no_head: NotHeadCT | None = None
    for candidate in chosen(everything, series_uid):
        try:
            choice = explain(candidate, everything, asked=series_uid is not None)
            scan = read_series(candidate.images, choice, progress)
            return scan.with_flags(*stray_flags(candidate, images))
        except NotHeadCT as refusal:
            no_head = no_head or refusal
    assert no_head is not None  # chosen() returns at least one
    raise no_head
