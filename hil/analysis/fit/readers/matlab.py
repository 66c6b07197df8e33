"""MATLAB files of version 5 to 7, read by scipy after every length in them was checked.

scipy reserves what a file says it holds, so a damaged length of a few bytes would take gigabytes. Layout: MathWorks, MAT-File
Format, "Level 5 MAT-file format": elements of a tag (type, length) and data, of which a matrix holds elements again.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hil.analysis.fit.readers.delimited import content_of
from hil.errors import InputError, Problem

MOST_BYTES = 1 << 28  # packed or unpacked
HEAD = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT = 1, 2, 3
_DEEPEST = 32


def load_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file (structs as objects with ``_fieldnames``).

    Raises InputError when it is too large, damaged, or of the HDF5 kind.
    """
    content = content_of(path)
    if len(content) > MOST_BYTES:
        raise InputError(Problem("too large", str(path), expected=f"at most {MOST_BYTES} bytes"))
    from scipy.io import loadmat

    try:
        _check(content)
        read = loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=False)
    except Exception as error:  # its parser raises a dozen unrelated types on a broken file
        found = f"{type(error).__name__}: {error}"[:160]
        raise InputError(Problem("damaged MATLAB file", str(path), expected="version 5 to 7", found=found)) from error
    return {name: value for name, value in read.items() if not name.startswith("__")}


def _check(content: bytes) -> None:
    """Raises ValueError for a length that does not fit, and zlib.error for damaged packing."""
    if len(content) < HEAD or content[126:128] != b"IM":
        raise ValueError("no header of a little-endian MATLAB file")
    unpacked = 0
    for kind, data in _elements(memoryview(content)[HEAD:], padded=False):
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            inside = stream.decompress(bytes(data), MOST_BYTES - unpacked)
            unpacked += len(inside)
            if not stream.eof:
                raise ValueError("a packed variable is cut off or too large")
            for inner_kind, inner in _elements(memoryview(inside), padded=False):
                if inner_kind == _MATRIX:
                    _check_matrix(inner, 0)
        elif kind == _MATRIX:
            _check_matrix(data, 0)


def _check_matrix(data: memoryview, depth: int) -> None:
    """The matrix holds at least a byte for each of its values, eight for each of a struct's, and so on inside."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    parts = list(_elements(data))
    if len(parts) < 2:
        return
    (_, flags), (_, dims) = parts[:2]
    count = 1
    for (size,) in struct.iter_unpack("<i", bytes(dims)[: len(dims) // 4 * 4]):
        count *= max(size, 0)
    nests = bool(len(flags)) and flags[0] in (_CELL, _STRUCT, _OBJECT)
    if count * (8 if nests else 1) > len(data):
        raise ValueError(f"{count} values in {len(data)} bytes")
    for kind, inner in parts[2:]:
        if kind == _MATRIX:
            _check_matrix(inner, depth + 1)


def _elements(data: memoryview, padded: bool = True) -> Iterator[tuple[int, memoryview]]:
    """(type, data) of every element; small ones hold their data in the tag. Raises ValueError for one cut off."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError(f"a tag is cut off at {at}")
        kind, size = struct.unpack_from("<II", data, at)
        if kind >> 16:
            small = kind >> 16
            if small > 4:
                raise ValueError(f"{small} bytes in a small element")
            yield kind & 0xFFFF, data[at + 4 : at + 4 + small]
            at += 8
            continue
        if size > len(data) - at - 8:
            raise ValueError(f"{size} bytes announced, {len(data) - at - 8} there")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + (size + (-size % 8 if padded and kind != _MATRIX else 0))
