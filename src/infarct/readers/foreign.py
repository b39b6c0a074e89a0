"""Third-party parsers kept in check: what they raise becomes a refusal, and what C libraries print is not shown.

Parsers of medical files print tag values and paths, which may name the patient. Every call into pydicom, GDCM,
nibabel, zlib and the file system goes through `foreign`, so that errors of our own code still surface as bugs.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infarct.errors import InfarctError, UnreadableInput


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
def captured_stderr() -> Iterator[Callable[[], bool]]:
    """Keep what C libraries write to the process's stderr during the block from being shown.

    Gives a function that tells, after the block, whether anything was written.
    """
    sys.stderr.flush()
    complained = False
    with tempfile.TemporaryFile() as sink:
        saved = os.dup(2)
        try:
            os.dup2(sink.fileno(), 2)
            yield lambda: complained
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            complained = os.fstat(sink.fileno()).st_size > 0
