"""The ``*.e2e.yaml`` beside a DBC: which message is protected how. Format: docs/reference/e2e.md."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hil.codec.e2e.crc import DATA_IDS, Algorithm, Extra
from hil.codec.e2e.plan import Place, Protection, refusals
from hil.codec.e2e.profiles import BUILT_IN, DATA_ID_MODES, NIBBLE_PLACE, Numbers
from hil.codec.nouns import Database, Message
from hil.errors import InputError, Problem, nearest
from hil.files import Document, Duration, KeyPath, Strict, load_model

Whole = Annotated[int, Field(ge=0)]
Word = Annotated[int, Field(ge=0, lt=1 << 64)]
ALGORITHMS = {
    "crc": Algorithm.CRC,
    "sum": Algorithm.SUM,
    "nibble-sum": Algorithm.NIBBLE_SUM,
    "xor": Algorithm.XOR,
    "none": Algorithm.NONE,
}
SHAPE = ("algorithm", "polynomial", "width", "reflected", "negative", "data_id_mode", "counter_max")


class At(Strict):
    """Bits of the payload that no signal of the DBC names; ``start`` as a DBC has it, or ``byte`` for a whole byte."""

    byte: Annotated[int, Field(ge=0, le=63)] | None = None
    start: Annotated[int, Field(ge=0, le=511)] | None = None
    length: Annotated[int, Field(ge=1, le=64)] = 8
    big_endian: bool = False

    def place(self) -> Place:
        """As a place in the payload."""
        if self.start is not None:
            return Place(self.start, self.length, self.big_endian)
        return Place(8 * (self.byte or 0) + (7 if self.big_endian else 0), self.length, self.big_endian)


class Profile(Strict):
    """The numbers of a profile, written down because releases differ. With ``base`` only what differs from it."""

    base: str | None = None
    algorithm: Literal["crc", "sum", "nibble-sum", "xor", "none"] | None = None
    polynomial: Word | None = None
    width: Annotated[int, Field(ge=1, le=64)] | None = None
    init: Word | None = None
    xor_out: Word | None = None
    reflected: bool | None = None
    negative: bool | None = None
    data_id_mode: Literal["none", "both", "alt", "low", "nibble", "list", "after", "after-big", "all"] | None = None
    counts_length: bool | None = None
    own_bits_are_zero: bool | None = None
    id_is_data_id: bool | None = None
    counter_max: Annotated[int, Field(ge=1)] | None = None


class Protected(Strict):
    """How one message is protected."""

    profile: str
    data_id: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = None
    data_ids: Annotated[tuple[Annotated[int, Field(ge=0, le=0xFF)], ...], Field(max_length=DATA_IDS)] = ()
    crc: str | At | None = None
    counter: str | At | None = None
    counter_max: Annotated[int, Field(ge=1)] | None = None
    max_delta: Annotated[int, Field(ge=1)] = 1
    init: Word | None = None
    xor_out: Word | None = None
    offset: Annotated[int, Field(ge=0, le=63)] = 0
    covers: tuple[Annotated[int, Field(ge=0, le=63)], Annotated[int, Field(ge=1, le=64)]] | None = None
    any_length: bool = False
    timeout: Duration = 0


class E2eFile(Strict):
    """A ``*.e2e.yaml``."""

    profiles: dict[str, Profile] = Field(default_factory=dict)
    messages: dict[str, Protected]


@dataclass(frozen=True, slots=True)
class E2e:
    """An e2e file, its names looked up in the DBC: message name -> protection."""

    file: E2eFile
    protections: tuple[tuple[str, Protection], ...]

    def of(self, message: str) -> Protection | None:
        """The message's protection, or None."""
        return next((p for name, p in self.protections if name == message), None)

    def lines(self) -> tuple[Protection, ...]:
        """All of them, for ``hil.codec.e2e.table``."""
        return tuple(p for _, p in self.protections)


class _Refused(Exception):
    """One message cannot be protected as asked; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def load_e2e(path: Path | str, db: Database) -> E2e:
    """Read a ``*.e2e.yaml`` for ``db``.

    Raises:
        InputError: unknown message, signal or profile; CRC or counter not where the profile has them; no data id, or one
            twice; numbers that contradict the profile a file's own one is based on.
    """
    file, document = load_model(path, E2eFile)
    problems: list[Problem] = []
    profiles = dict(BUILT_IN)
    for name, profile in file.profiles.items():
        try:
            profiles[name] = _numbers(name, profile, profiles, document)
        except _Refused as refused:
            problems.append(refused.problem)
    made: list[tuple[str, Protection]] = []
    for name, p in file.messages.items():
        at: KeyPath = ("messages", name)
        message, numbers = db.find(name), profiles.get(p.profile)
        if message is None:
            close = nearest(name, (m.name for m in db.messages)) or ""
            problems.append(document.problem(at, f"no message {name!r}", on_key=True, nearest=close))
        if numbers is None and p.profile not in file.profiles:
            close = nearest(p.profile, profiles) or ""
            problems.append(document.problem((*at, "profile"), f"no profile {p.profile!r}", nearest=close))
        if message is None or numbers is None:
            continue
        try:
            made.append((name, protection(message, p, numbers, at, document)))
        except InputError as refused_all:
            problems += refused_all.problems
    problems += _twice(file, document)
    if problems:
        raise InputError(problems)
    return E2e(file, tuple(made))


def _twice(file: E2eFile, document: Document) -> Iterable[Problem]:
    """A data id is there to tell messages apart."""
    seen: dict[int, str] = {}
    for name, p in file.messages.items():
        if p.data_id is None:
            continue
        if p.data_id in seen:
            what = f"data id 0x{p.data_id:04X} is also that of {seen[p.data_id]}"
            yield document.problem(("messages", name, "data_id"), what)
        seen[p.data_id] = name


def _numbers(name: str, profile: Profile, known: dict[str, Numbers], document: Document) -> Numbers:
    """A profile of the file as numbers, on top of its base."""
    at: KeyPath = ("profiles", name)
    if name in BUILT_IN:
        raise _Refused(document.problem(at, f"{name} is a built-in profile; another name is needed", on_key=True))
    base = Numbers() if profile.base is None else known.get(profile.base)
    if base is None:
        close = nearest(profile.base or "", known) or ""
        raise _Refused(document.problem((*at, "base"), f"no profile {profile.base!r}", nearest=close))
    changed: dict[str, Any] = {k: v for k, v in profile.model_dump(exclude_none=True).items() if k != "base"}
    if "algorithm" in changed:
        changed["algorithm"] = ALGORITHMS[changed["algorithm"]]
    for key, value in changed.items():
        chosen = key == "data_id_mode" and value in base.modes
        if base.fixed and key in SHAPE and value != getattr(base, key) and not chosen:
            what = f"{profile.base} has another {key}"
            expected = " or ".join(base.modes) if key == "data_id_mode" and base.modes else f"{getattr(base, key)}"
            problem = document.problem((*at, key), what, expected=expected, found=f"{value}")
            raise _Refused(problem)
    made = replace(base, **changed)
    if made.algorithm is Algorithm.CRC and made.polynomial == 0:
        raise _Refused(document.problem(at, f"{name}: a CRC needs its polynomial", on_key=True))
    return made


def protection(message: Message, p: Protected, n: Numbers, at: KeyPath, document: Document) -> Protection:
    """One message's protection. Raises InputError with all that is wrong with it, each at its key."""
    problems: list[Problem] = []
    crc = _place(message, p.crc, n.crc, p, n, (*at, "crc"), document, problems)
    counter = _place(message, p.counter, n.counter, p, n, (*at, "counter"), document, problems)
    if crc is None and n.algorithm is not Algorithm.NONE and not problems:
        what = f"{message.name}: {p.profile} does not say where the checksum is"
        problems.append(document.problem(at, what, on_key=True, expected="crc: a signal, or {byte: 0}"))
    data_id = _data_id(message, p, n, at, document, problems)
    if problems:
        raise InputError(problems)
    made = _made(message, p, n, crc, counter, data_id)
    texts = refusals(made)
    if texts:
        raise InputError([document.problem(at, f"{message.name}: {text}", on_key=True) for text in texts])
    return made


def _made(
    message: Message, p: Protected, n: Numbers, crc: Place | None, counter: Place | None, data_id: int
) -> Protection:
    before, after = DATA_ID_MODES[n.data_id_mode]
    if n.counts_length:
        after = (*after, Extra.LENGTH)
    init = n.init_if_extended if message.extended and n.init_if_extended is not None else n.init
    xor_out = n.xor_by_id.get(message.id, n.xor_by_length.get(message.length, n.xor_out))
    width = n.width if n.algorithm is Algorithm.CRC or crc is None else crc.width
    counter_max = p.counter_max or n.counter_max or (1 << counter.width) - 1 if counter else 0
    nibble = n.data_id_mode == "nibble"
    first, last = p.covers or (0, message.length)
    return Protection(
        id=message.id,
        extended=message.extended,
        length=message.length,
        crc_byte=0 if crc is None else crc.start >> 3,
        counter_start=0 if counter is None else counter.start,
        counter_length=0 if counter is None else counter.width,
        counter_max=counter_max,
        max_delta=p.max_delta,
        data_id=data_id,
        init=init if p.init is None else p.init,
        xor_out=xor_out if p.xor_out is None else p.xor_out,
        algorithm=n.algorithm,
        polynomial=n.polynomial,
        width=width,
        reflected=n.reflected,
        negative=n.negative,
        before=before,
        after=after,
        crc_place=crc,
        counter_big=counter is not None and counter.big,
        first=first,
        last=0 if p.any_length else last,
        own_bits_are_zero=n.own_bits_are_zero,
        id_field=_moved(NIBBLE_PLACE if nibble else n.id_field, p.offset, message.length),
        length_field=_moved(n.length_field, p.offset, message.length),
        data_ids=p.data_ids,
        timeout_ns=p.timeout,
    )


def _moved(place: Place | None, offset: int, length: int) -> Place | None:
    """A profile's place in a message: counted from the offset, or from the message's end."""
    if place is None:
        return None
    return place._replace(start=place.start + 8 * (length if place.start < 0 else offset))


def _place(
    message: Message,
    asked: str | At | None,
    usual: Place | None,
    p: Protected,
    n: Numbers,
    at: KeyPath,
    document: Document,
    problems: list[Problem],
) -> Place | None:
    """Where the file, or else the profile, puts the checksum or the counter; None = nowhere."""
    usual = _moved(usual, p.offset, message.length)
    if asked is None:
        return usual
    if isinstance(asked, At):
        place = asked.place()
        named = message.name
        if (asked.byte is None) == (asked.start is None):
            problems.append(document.problem(at, "either byte or start says where it is"))
            return None
    else:
        signal = message.signal(asked)
        if signal is None:
            close = nearest(asked, (s.name for s in message.signals)) or ""
            problems.append(document.problem(at, f"{message.name} has no signal {asked!r}", nearest=close))
            return None
        place, named = Place(signal.start, signal.length, signal.big), f"{message.name}.{asked}"
    if n.fixed and usual is not None and place.positions() != usual.positions():
        expected = f"{_shown(usual)}, unsigned"
        what = f"{named} is not where the profile has it"
        problems.append(document.problem(at, what, expected=expected, found=_shown(place)))
        return None
    return usual if n.fixed else place


def _shown(place: Place) -> str:
    bits = sorted(place.positions())
    return f"bits {bits[0]} to {bits[-1]}"


def _data_id(
    message: Message, p: Protected, n: Numbers, at: KeyPath, document: Document, problems: list[Problem]
) -> int:
    """The data id, or the identifier where the profile takes that."""
    listed = n.data_id_mode == "list"
    used = n.data_id_mode != "none" or n.id_field is not None
    if listed and not p.data_ids:
        problems.append(document.problem(at, f"{message.name}: {p.profile} needs data_ids", on_key=True))
    if not listed and p.data_ids:
        problems.append(document.problem((*at, "data_ids"), f"{p.profile} has no list of data ids"))
    if used and not listed and p.data_id is None and not n.id_is_data_id:
        problems.append(document.problem(at, f"{message.name}: {p.profile} needs a data_id", on_key=True))
    if p.data_id is not None and (listed or not used):
        problems.append(document.problem((*at, "data_id"), f"{p.profile} has no data id"))
    if p.data_id is None:
        return message.id if used and n.id_is_data_id else 0
    bits = 12 if n.data_id_mode == "nibble" else n.data_id_bits
    if p.data_id >> bits:
        expected = f"at most 0x{(1 << bits) - 1:X}"
        problems.append(document.problem((*at, "data_id"), "data id", expected=expected, found=f"0x{p.data_id:X}"))
    return p.data_id
