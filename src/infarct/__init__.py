"""infarct: reads non-contrast head CT in ischemic stroke. Research use only, not a medical device."""

__version__ = "0.1.0"
