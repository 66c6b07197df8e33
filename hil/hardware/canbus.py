"""A CAN interface of any make, by python-can, as a target of the player."""

import errno
import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import can

from hil.errors import BenchError
from hil.logs.trace import Int64, Trace
from hil.tick import FrameBits

LISTEN_S = 0.1  # how long one receive call waits; closing takes as long
KEY_EXTENDED = 1 << 31  # in ``heard``: 29-bit identifier; as hil.replay.ports has it, which stands above
GARBAGE = 100  # so many things in a row that are no frames: this is no CAN adapter any more
FULL = frozenset((errno.ENOBUFS, errno.EAGAIN))
FULL_TEXT = "full"  # vendors' drivers say it in words: "transmit buffer full", "queue is full"
EXTENDED, FD, REMOTE = int(FrameBits.EXTENDED), int(FrameBits.FD), int(FrameBits.REMOTE)
SWITCHED, PASSIVE = int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE)


class PythonCanTarget:
    """Sends on one interface and listens to who else sends there.

    Listening goes on in a thread from the start, so that no receive queue fills up; a device of the other end that
    answers each frame (a serial adapter does) is never blocked.
    """

    def __init__(
        self,
        interface: str,
        channel: str,
        bit_rate: int | None = None,
        options: Mapping[str, Any] | None = None,
        listen: bool = True,
    ) -> None:
        """Open ``channel`` of ``interface`` (python-can's names), at ``bit_rate`` bit/s where the interface takes one.

        Raises:
            BenchError: it cannot be opened, with the library's own words.
        """
        arguments: dict[str, Any] = {} if bit_rate is None else {"bitrate": bit_rate}
        arguments.update(options or {})
        try:
            self._bus: can.BusABC = can.Bus(channel=channel, interface=interface, ignore_config=True, **arguments)
        except (
            can.CanError,
            OSError,
            ValueError,
            TypeError,
            ImportError,
            AttributeError,
            NotImplementedError,
        ) as error:
            # AttributeError: the library asks the operating system for a kind of socket it does not have
            raise BenchError(f"{interface} {channel}: cannot be opened: {error}") from error
        self.name = f"{interface}:{channel}"
        self._whole = interface == "virtual"  # a failed send may have reached some of the receivers
        self._heard: set[int] = set()
        self._closing = threading.Event()
        self._deaf = ""
        self._listener = threading.Thread(target=self._listen, name=f"listen {self.name}", daemon=True)
        if listen:
            self._listener.start()

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[can.Message]:
        """The library's messages, complete; ``due_ns`` becomes their time stamp, which some interfaces send along."""
        columns = (frames.id, frames.bits, frames.dlc, due_ns)
        rows = zip(*(c.tolist() for c in columns), strict=True)
        payload = frames.payload
        return [self._message(row, payload(i)) for i, row in enumerate(rows)]

    @staticmethod
    def _message(row: tuple[int, int, int, int], payload: bytes) -> can.Message:
        identifier, bits, length, due_ns = row
        return can.Message(
            timestamp=due_ns * 1e-9,
            arbitration_id=identifier,
            is_extended_id=bits & EXTENDED != 0,
            is_remote_frame=bits & REMOTE != 0,
            dlc=length,
            data=payload,
            is_fd=bits & FD != 0,
            bitrate_switch=bits & SWITCHED != 0,
            error_state_indicator=bits & PASSIVE != 0,
            is_rx=False,
        )

    def send(self, item: can.Message) -> None:
        """Hand one to the interface.

        Raises:
            BlockingIOError: its buffer is full.
            OSError: it refuses the frame or is gone.
        """
        try:
            self._bus.send(item)
        except can.CanOperationError as error:
            if not self._whole and (error.error_code in FULL or FULL_TEXT in str(error).lower()):
                raise BlockingIOError(errno.ENOBUFS, f"{self.name}: no room: {error}") from error
            raise OSError(f"{self.name}: {error}") from error
        except (can.CanError, ValueError, NotImplementedError) as error:
            raise OSError(f"{self.name}: {error}") from error

    def flush(self) -> None:
        """Nothing is held back here; what the interface buffers it sends by itself."""

    def heard(self) -> AbstractSet[int]:
        """Identifiers of received frames, 29-bit ones plus 2**31; grows by itself."""
        return self._heard

    @property
    def deaf(self) -> str:
        """Why listening ended before its time; empty while all is well."""
        return self._deaf

    def _listen(self) -> None:
        heard, garbage = self._heard, 0
        while not self._closing.is_set():
            try:
                message = self._bus.recv(LISTEN_S)
            except (can.CanError, OSError, ValueError, TypeError, IndexError) as error:
                # the last three: drivers parse what a serial adapter sends without checking it first
                garbage += 1
                if isinstance(error, (can.CanError, OSError)) or garbage >= GARBAGE:
                    if not self._closing.is_set():
                        self._deaf = f"{self.name}: {error or type(error).__name__}"
                    return
                continue
            garbage = 0
            if message is not None and not message.is_error_frame:
                heard.add(message.arbitration_id + (KEY_EXTENDED if message.is_extended_id else 0))

    def close(self) -> None:
        """Stop listening and give the interface back. Raises OSError when it cannot be closed."""
        self._closing.set()
        if self._listener.is_alive():
            self._listener.join(timeout=10 * LISTEN_S)
        try:
            self._bus.shutdown()
        except can.CanError as error:
            raise OSError(f"{self.name}: {error}") from error
