"""The route table: which route a request takes."""

import os
from typing import TYPE_CHECKING

from ._route_spec import HeaderKind, HeaderMatch, Match, RouteSpec, RouteTableError

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._path import normalize_path
    from ._route_table_py import RouteTable
else:
    try:
        from ._route_table_c import RouteTable, normalize_path
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._path import normalize_path
        from ._route_table_py import RouteTable

__all__ = [
    "HeaderKind",
    "HeaderMatch",
    "Match",
    "RouteSpec",
    "RouteTable",
    "RouteTableError",
    "normalize_path",
]
