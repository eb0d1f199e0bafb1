"""Lines of JSON: objects of a log, which have the same members."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("HEADGATE_NO_EXTENSIONS"):
    from ._json_line_py import LineFormat
else:
    try:
        from ._json_line_c import LineFormat
    except ModuleNotFoundError:  # not built; one that is built and broken must be heard of
        from ._json_line_py import LineFormat

__all__ = ["LineFormat"]
