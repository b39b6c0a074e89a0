"""Unique identifiers that follow from what they name: the same thing has the same one again."""

import hashlib
import uuid


def hashed_uid(*names: str) -> str:
    """Return the unique identifier of what ``names`` name together: a random-looking one under 2.25 (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"
