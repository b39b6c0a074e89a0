"""Third-party readers and writers of medical files kept silent: what they log or warn of may name the patient."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "highdicom", "nibabel", "nibabel.global")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the loggers and warnings of these libraries for the time of the block."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    nowhere = logging.NullHandler()
    for logger in loggers:  # their children log through them
        logger.propagate = False
        logger.handlers = [nowhere]  # nibabel brings a handler of its own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", module=r"(pydicom|highdicom|nibabel)(\.|$)")
            yield
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
