"""Authentication by API key."""

from ...proxy.key_format import digest, is_well_formed, new_key
from .plugin import ApiKey

__all__ = ["ApiKey", "digest", "is_well_formed", "new_key"]
