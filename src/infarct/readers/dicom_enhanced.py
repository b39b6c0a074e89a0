"""Frames of an enhanced multi-frame CT object as images, one each."""

from dataclasses import replace

from pydicom.dataset import Dataset

from infarct.errors import UnreadableInput
from infarct.readers import dicom_image as tags
from infarct.readers.dicom_image import Identity, Image, PixelStore, Words


def enhanced_images(dataset: Dataset, store: PixelStore) -> tuple[Image, ...]:
    """Return the frames of a multi-frame object, in stored order.

    A multi-frame object without functional groups (a secondary capture) gives frames without a position, which
    no series choice will take. Raises `UnreadableInput` where the groups do not match the number of frames.
    """
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    if per_frame and len(per_frame) != store.frames:
        raise UnreadableInput("an enhanced DICOM file describes more or fewer frames than it holds; export it again")
    identity, words = tags.identity(dataset), tags.words(dataset)
    common = shared[0] if shared else Dataset()
    return tuple(
        _frame(dataset, store, index, _Groups(per_frame[index] if per_frame else Dataset(), common), identity, words)
        for index in range(store.frames)
    )


class _Groups:
    """The functional groups of one frame: its own first, then the shared ones."""

    def __init__(self, own: Dataset, shared: Dataset) -> None:
        self._own, self._shared = own, shared

    def __call__(self, keyword: str) -> Dataset:
        for group in (self._own, self._shared):
            items = _items(group, keyword)
            if items:
                return items[0]
        return Dataset()


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    sequence = tags.value(dataset, keyword)
    try:
        return [item for item in sequence if isinstance(item, Dataset)] if sequence is not None else []
    except Exception:  # a broken sequence counts as missing
        return []


def _frame(dataset: Dataset, store: PixelStore, index: int, groups: _Groups, identity: Identity, words: Words) -> Image:
    measures, rescale = groups("PixelMeasuresSequence"), groups("PixelValueTransformationSequence")
    content = groups("FrameContentSequence")
    position = tags.numbers(groups("PlanePositionSequence"), "ImagePositionPatient", 3)
    spacing = tags.numbers(measures, "PixelSpacing", 2)
    frame_type = tuple(tags.text(groups("CTImageFrameTypeSequence"), "FrameType").upper().split())
    repeats = ("FrameAcquisitionNumber", "TemporalPositionIndex", "FrameAcquisitionDateTime", "StackID")
    return Image(
        store=store,
        frame=index,
        identity=replace(
            identity,
            instance_number=index + 1,
            acquisition=tuple(tags.text(content, keyword) for keyword in repeats),
        ),
        words=replace(
            words,
            image_type=frame_type or words.image_type,
            kernel=tags.short(tags.text(groups("CTReconstructionSequence"), "ConvolutionKernel")) or words.kernel,
        ),
        position_mm=None if position is None else (position[0], position[1], position[2]),
        orientation=tags.numbers(groups("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing_mm_yx=None if spacing is None else (spacing[0], spacing[1]),
        slope=tags.number(rescale, "RescaleSlope"),
        intercept=tags.number(rescale, "RescaleIntercept"),
        padding=tags.padding_range(dataset, store.format),
        thickness_mm=tags.number(measures, "SliceThickness"),
        slice_location_mm=None,
        kvp=tags.number(groups("CTXRayDetailsSequence"), "KVP") or tags.number(dataset, "KVP"),
        tilt_deg=tags.number(groups("CTAcquisitionDetailsSequence"), "GantryDetectorTilt"),
        age_years=tags.age_years(dataset),
    )
