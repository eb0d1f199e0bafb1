"""`python -m loadtests.report FILE.json`: make the page of a result anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .page import page


def main() -> int:
    """Write the page beside the result."""
    path = Path(sys.argv[1])
    path.with_suffix(".html").write_text(page(json.loads(path.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
