"""Stored values of DICOM images: native data as they lie, compressed ones through GDCM."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from infarct.errors import UnreadableInput
from infarct.readers.dicom_image import PixelFormat, PixelStore
from infarct.readers.foreign import captured_stderr, foreign

StoredArray = npt.NDArray[np.int16] | npt.NDArray[np.uint16]
_NATIVE = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}
_RLE = "1.2.840.10008.1.2.5"
_COMPRESSED = {
    _RLE: "pydicom",
    "1.2.840.10008.1.2.4.50": "gdcm",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "gdcm",  # JPEG extended
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "gdcm",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "gdcm",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": "gdcm",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": "gdcm",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": "gdcm",  # JPEG 2000
}


def stored_values(store: PixelStore) -> StoredArray:
    """Return the stored values of a file, int16 or uint16 (frames, rows, columns), bits above the stored ones cleared.

    Raises `UnreadableInput` where the data are too short or too long for the declared size, cannot be decompressed,
    or have a format that no CT uses.
    """
    fmt = store.format
    if fmt.bits_allocated not in (8, 16):
        raise UnreadableInput(f"the pixels have {fmt.bits_allocated} bits; CT images have 16, export the series again")
    native = store.length is not None
    if native != (store.transfer_syntax in _NATIVE):
        raise UnreadableInput("the pixel data are not what the transfer syntax announces; export the series again")
    return _in_range(_native(store) if native else _decompressed(store), fmt)


def _native(store: PixelStore) -> npt.NDArray[Any]:
    fmt = store.format
    count = store.frames * fmt.rows * fmt.columns
    needed = count * fmt.bits_allocated // 8
    length = store.length or 0
    if length < needed:
        raise UnreadableInput("the pixel data of an image are shorter than its size says; copy the series again")
    if length > needed + needed % 2:
        raise UnreadableInput("the pixel data of an image are longer than its size says; export the series again")
    dtype = np.dtype("u1" if fmt.bits_allocated == 8 else _NATIVE[store.transfer_syntax] + "u2")
    with foreign("the pixel data of a DICOM file cannot be read; copy the series again"):
        if store.inflated is not None:
            flat = np.frombuffer(store.inflated, dtype, count, store.offset)
        else:
            flat = np.fromfile(store.path, dtype, count, offset=store.offset)
    if flat.size != count:
        raise UnreadableInput("the pixel data of a DICOM file are cut short; copy the series again")
    return flat.reshape(store.frames, fmt.rows, fmt.columns)


def _decompressed(store: PixelStore) -> npt.NDArray[Any]:
    plugin = _COMPRESSED.get(store.transfer_syntax)
    if plugin is None:
        raise UnreadableInput("the pixel data are compressed in a way that is not supported; export them uncompressed")
    fmt = store.format
    with foreign("the compressed pixel data of an image cannot be decoded; copy the series again"):
        if plugin == "gdcm":
            _silence_gdcm()
        if store.inflated is None:
            with store.path.open("rb") as stream:
                stream.seek(store.offset)
                encapsulated = stream.read()
        else:
            encapsulated = store.inflated[store.offset :]
        decoder: Any = get_decoder(UID(store.transfer_syntax))  # its options are typed as one kind for all
        with captured_stderr() as complained:
            array, _ = decoder.as_array(encapsulated, raw=True, decoding_plugin=plugin, **_options(store))
        if complained():  # the JPEG libraries print what they find corrupt, and decode on
            raise UnreadableInput("the compressed pixel data of an image are damaged; copy the series again")
        return np.asarray(array).reshape(store.frames, fmt.rows, fmt.columns)


def _options(store: PixelStore) -> dict[str, Any]:
    fmt = store.format
    return {
        "rows": fmt.rows,
        "columns": fmt.columns,
        "number_of_frames": store.frames,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": fmt.bits_allocated,
        "bits_stored": fmt.bits_stored,
        "pixel_representation": int(fmt.signed),
        "pixel_keyword": "PixelData",
    }


@cache
def _silence_gdcm() -> None:
    """GDCM prints tag values to stderr unless told not to."""
    import gdcm

    for switch in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
        switch()


def _in_range(array: npt.NDArray[Any], fmt: PixelFormat) -> StoredArray:
    """Keep the stored bits only (overlays may lie above them) and extend the sign from the high bit."""
    bits = array.astype(np.uint16) if array.itemsize == 1 else array.view(array.dtype.str[0] + "u2").astype(np.uint16)
    if fmt.bits_stored == 16:
        return bits.view(np.int16) if fmt.signed else bits
    raised = bits << np.uint16(15 - fmt.high_bit)  # the high bit becomes the sign bit, overlay bits fall off
    shift = 16 - fmt.bits_stored
    return raised.view(np.int16) >> np.int16(shift) if fmt.signed else raised >> np.uint16(shift)
