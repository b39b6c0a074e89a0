"""Third-party parsers kept in check: what they raise becomes a refusal, and what they print is not shown.

Parsers of medical files print tag values and paths, which may name the patient. Every call into pydicom, GDCM,
nibabel, zlib and the file system goes through `foreign`, so that errors of our own code still surface as bugs.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from infarct.errors import InfarctError, UnreadableInput

_LOGGERS = ("pydicom", "nibabel", "nibabel.global")


@contextmanager
def foreign(refusal: str) -> Iterator[None]:
    """Turn whatever third-party code raises in the block into ``UnreadableInput(refusal)``.

    Refusals of our own pass through. The original error is not chained: its text may hold patient data.
    """
    try:
        yield
    except InfarctError:
        raise
    except Exception:
        raise UnreadableInput(refusal) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the loggers and warnings of the parsers for the time of the block."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", module=r"(pydicom|nibabel)(\.|$)")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
