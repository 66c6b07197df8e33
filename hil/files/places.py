"""Where files lie."""

from pathlib import Path


def same_file(one: Path, other: Path) -> bool:
    """True when both names lead to one file; False also when one cannot be looked at: whoever uses it is told why."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
