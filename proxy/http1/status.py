"""What a status says by itself."""

from http import HTTPStatus

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
NO_BODY = frozenset({204, 304})  # Source: RFC 9110 §15.3.5 and §15.4.5
