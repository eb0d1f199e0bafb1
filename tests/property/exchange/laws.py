"""Every law of an exchange, by name."""

from __future__ import annotations

from . import laws_of_answers, laws_of_attempts, laws_of_time
from .law import LAWS

__all__ = ("LAWS", "laws_of_answers", "laws_of_attempts", "laws_of_time")
