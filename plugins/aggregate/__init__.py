"""Asks every target of a route at once, and answers with one of the answers, or with what all of them come to."""

from .candidate import Candidate
from .plugin import Aggregate

__all__ = ["Aggregate", "Candidate"]
