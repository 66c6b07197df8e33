"""Frames and configurations for tests of end-to-end protection."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from restbus_rig import MESSAGE

from hil.codec import e2e
from hil.codec.e2e.file import Protected, protection
from hil.codec.e2e.plan import Protection
from hil.codec.e2e.profiles import BUILT_IN, Numbers
from hil.codec.nouns import Database, Message
from hil.files.yaml12 import load_text
from hil.kernel import view, zeros
from hil.tick import Frame, FrameBits


def message(identifier: int, length: int, name: str = "M", extended: bool = False) -> Message:
    """A message without signals."""
    return replace(
        MESSAGE, name=name, id=identifier, extended=extended, fd=length > 8, length=length, senders=(), signals=()
    )


def database(*messages: Message) -> Database:
    """A bus of these messages."""
    return Database(Path("made.dbc"), None, (), messages)


def wanted(numbers: Numbers, made: Message, **asked: object) -> Protection:
    """A message's protection by any numbers, as a file would ask for it."""
    p = Protected.model_validate({"profile": "this profile", **asked})
    return protection(made, p, numbers, ("messages", "M"), load_text("messages:\n  M: {}\n"))


def line(profile: str, identifier: int, length: int, extended: bool = False, **asked: object) -> Protection:
    """A message's protection by a built-in profile."""
    return wanted(BUILT_IN[profile], message(identifier, length, extended=extended), **asked)


def config(one: Protection) -> np.void:
    """The record of one protection."""
    return view(e2e.table([one])).config[0]


def frame(payload: Sequence[int] | bytes, identifier: int, extended: bool = False, t_ns: int = 0) -> np.void:
    """A frame with these bytes."""
    made = zeros(Frame)[0]
    made["id"], made["dlc"], made["t_ns"] = identifier, len(payload), t_ns
    made["bits"] = int(FrameBits.EXTENDED) if extended else 0
    made["payload"][: len(payload)] = np.frombuffer(bytes(payload), np.uint8)
    return made


def bytes_of(made: np.void) -> bytes:
    """The payload of a frame."""
    return bytes(made["payload"][: int(made["dlc"])])


def judge(payload: bytes, one: Protection) -> int:
    """Status of a single frame for a receiver that has heard nothing."""
    return int(e2e.check(frame(payload, one.id, one.extended), config(one), zeros(e2e.E2eState)[0]))
