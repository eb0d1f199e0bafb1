"""Authentication by JSON Web Tokens."""

from ...proxy.plugin_error import MissingExtra

try:
    import cryptography  # noqa: F401 - without it PyJWT is there, and knows secrets only

    from .plugin import Jwt
except ModuleNotFoundError as error:
    if error.name not in ("jwt", "cryptography"):
        raise
    raise MissingExtra("PyJWT with cryptography", "jwt", error.name) from error

__all__ = ["Jwt"]
