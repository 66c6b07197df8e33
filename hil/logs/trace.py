"""Frames of a log as columns: what every reader makes, and what bulk decoder, converter and player take.

Payloads lie one after the other in 8-byte words, each frame's padded with zeros to whole words, so that a decoder loads
words and never looks at lengths. Two words of zeros follow the last frame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hil.tick import FrameBits

Int64 = NDArray[np.int64]
SLACK = 2  # words of zeros after the last payload


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """``n`` frames in the order of their log; columns of n elements.

    ``t_ns`` counts from 1970-01-01 UTC when ``absolute``, else from the log's own zero. ``dlc`` is the payload length in
    bytes (0..64), of a remote frame the length asked for. ``at`` is the index of the frame's first word in ``words``;
    ceil(dlc / 8) words belong to it. ``bits`` are ``hil.tick.FrameBits``; ``channel`` counts from 0.
    """

    t_ns: Int64
    id: NDArray[np.int32]
    bits: NDArray[np.int32]
    dlc: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    at: Int64
    words: NDArray[np.uint64]
    absolute: bool = False

    def __len__(self) -> int:
        return len(self.t_ns)

    def payload(self, index: int) -> bytes:
        """Payload of one frame; empty for a remote frame."""
        if self.bits[index] & FrameBits.REMOTE:
            return b""
        first, length = int(self.at[index]), int(self.dlc[index])
        return self.words[first : first + (length + 7) // 8].astype("<u8").tobytes()[:length]

    def select(self, which: NDArray[np.bool_] | Int64 | slice) -> "Trace":
        """The frames of a mask, of indexes or of a slice; payload words are shared, not copied."""
        return replace(
            self,
            t_ns=self.t_ns[which],
            id=self.id[which],
            bits=self.bits[which],
            dlc=self.dlc[which],
            channel=self.channel[which],
            at=self.at[which],
        )

    @property
    def duration_ns(self) -> int:
        """From the earliest to the latest frame; 0 for fewer than two."""
        return int(self.t_ns.max() - self.t_ns.min()) if len(self) > 1 else 0


def from_bytes(
    t_ns: Sequence[int] | Int64,
    identifiers: Sequence[int] | NDArray[np.int32],
    bits: Sequence[int] | NDArray[np.int32],
    payloads: Sequence[bytes],
    channels: Sequence[int] | NDArray[np.uint8] | None = None,
    lengths: Sequence[int] | None = None,
    absolute: bool = False,
) -> Trace:
    """A trace of single payloads; ``lengths`` where they differ from the payloads' (remote frames), zeros fill up."""
    n = len(payloads)
    dlc = np.fromiter((len(p) for p in payloads) if lengths is None else lengths, np.uint8, n)
    at, total = places(dlc)
    words = np.zeros(total + SLACK, np.uint64)
    padded = b"".join(p.ljust((int(length) + 7) // 8 * 8, b"\0") for p, length in zip(payloads, dlc, strict=True))
    words[:total] = np.frombuffer(padded, "<u8")
    channel = np.zeros(n, np.uint8) if channels is None else np.asarray(channels, np.uint8)
    return Trace(
        np.asarray(t_ns, np.int64),
        np.asarray(identifiers, np.int32),
        np.asarray(bits, np.int32),
        dlc,
        channel,
        at,
        words,
        absolute,
    )


def from_matrix(
    t_ns: Int64,
    identifiers: NDArray[np.int32],
    bits: NDArray[np.int32],
    lengths: NDArray[np.uint8],
    payloads: NDArray[np.uint8],
    channels: NDArray[np.uint8],
    absolute: bool = False,
) -> Trace:
    """A trace of payloads in the rows of a matrix ``(n, w)``; what stands behind a frame's length is dropped."""
    n, width = payloads.shape
    at, total = places(lengths)
    padded = np.zeros((n, max(8, (max(width, int(lengths.max(initial=0))) + 7) // 8 * 8)), np.uint8)
    padded[:, :width] = payloads
    padded[np.arange(padded.shape[1]) >= lengths[:, None]] = 0
    rows = padded.view("<u8")
    used = np.arange(rows.shape[1]) < ((lengths.astype(np.int64) + 7) // 8)[:, None]
    words = np.zeros(total + SLACK, np.uint64)
    words[:total] = rows[used]
    return Trace(t_ns, identifiers, bits, lengths, channels, at, words, absolute)


def to_matrix(trace: Trace, width: int = 64) -> NDArray[np.uint8]:
    """Payloads as rows ``(n, width)``, zeros behind each frame's length; ``width`` is a multiple of 8."""
    places_of = np.minimum(trace.at[:, None] + np.arange(width // 8), len(trace.words) - 1)
    out: NDArray[np.uint8] = trace.words[places_of].astype("<u8").view(np.uint8).reshape(len(trace), width)
    out[np.arange(width) >= trace.dlc[:, None]] = 0
    out[trace.bits & FrameBits.REMOTE != 0] = 0
    return out


def places(dlc: NDArray[np.uint8]) -> tuple[Int64, int]:
    """Index of each frame's first word when they follow each other, and the number of words in all."""
    counts = (dlc.astype(np.int64) + 7) // 8
    ends = np.cumsum(counts)
    return ends - counts, int(ends[-1]) if len(ends) else 0


def concat(traces: Iterable[Trace]) -> Trace:
    """One trace of several, in the order given. Raises ValueError when some are absolute and others are not."""
    parts = [t for t in traces if len(t)]
    if not parts:
        return from_bytes([], [], [], [])
    if len({t.absolute for t in parts}) > 1:
        raise ValueError("traces with and without absolute time")
    starts = np.cumsum([0] + [len(t.words) for t in parts])
    return Trace(
        np.concatenate([t.t_ns for t in parts]),
        np.concatenate([t.id for t in parts]),
        np.concatenate([t.bits for t in parts]),
        np.concatenate([t.dlc for t in parts]),
        np.concatenate([t.channel for t in parts]),
        np.concatenate([t.at + start for t, start in zip(parts, starts, strict=False)]),
        np.concatenate([t.words for t in parts]),
        parts[0].absolute,
    )
