"""Files that come with Cellbench: scenarios, packs, benches and the bench's DBC, in a checkout or in the wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """The path of a shipped file such as ``scenarios/benches/virtual.yaml``; it need not exist."""
    packed = PACKAGE / "_files" / name
    return packed if packed.exists() else PACKAGE.parent / name


def located(path: Path) -> Path:
    """``path`` itself where it exists, else the shipped file of that relative name, else ``path`` (the error comes later)."""
    if path.exists() or path.is_absolute():
        return path
    packed = shipped(path.as_posix())
    return packed if packed.exists() else path
