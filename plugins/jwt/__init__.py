"""Authentication by JSON Web Tokens."""

try:
    import cryptography  # noqa: F401 - without it PyJWT is there, and knows secrets only

    from .plugin import Jwt
except ModuleNotFoundError as error:
    if error.name not in ("jwt", "cryptography"):
        raise
    raise ModuleNotFoundError(
        "expected PyJWT with cryptography: pip install 'headgate[jwt]'", name=error.name
    ) from error

__all__ = ["Jwt"]
