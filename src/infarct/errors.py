"""Every error that infarct raises on purpose.

InfarctError
├── Refusal          the input cannot be read or is not a head NCCT; one clear line, exit code 2
│   ├── UnreadableInput      the file or folder is missing, truncated, encrypted or unsafe
│   ├── NotHeadCT            it can be read, but is no non-contrast CT of a head
│   └── BadRequest           what was asked for cannot be done (unknown series, folder not empty, ...)
└── StepFailed       a step of the analysis did not reach an answer; the pipeline flags it
"""


class InfarctError(Exception):
    """Base of all errors that infarct raises on purpose."""


class Refusal(InfarctError):
    """The input is refused: the message is one line that says what was found and what to do."""


class UnreadableInput(Refusal):
    """The input is missing, truncated, encrypted or unsafe to unpack."""


class NotHeadCT(Refusal):
    """The input can be read, but it is not a non-contrast CT of a head."""


class BadRequest(Refusal):
    """What the caller asked for cannot be done as asked."""


class StepFailed(InfarctError):
    """A step of the analysis did not reach an answer."""
