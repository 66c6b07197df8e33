"""The profiles known by name: what AUTOSAR specifies, plain SAE J1850, and what car makers were seen to send.

Sources: AUTOSAR "E2E Protocol Specification" (autosar-*); SAE J1850 (sae-j1850); the checksum functions of commaai/opendbc,
MIT, checked there against recorded frames (vw-*, hyundai-canfd, toyota, honda, chrysler, fca-giorgio, subaru, tesla,
rivian, psa); recorded logs (nissan-leaf, orion).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from hil.codec.e2e.crc import Algorithm, Extra
from hil.codec.e2e.plan import Place

LOW, HIGH, THIRD, FOURTH = Extra.ID0, Extra.ID1, Extra.ID2, Extra.ID3

# How a data id enters the checksum: bytes before the payload, bytes after it.
DATA_ID_MODES: Mapping[str, tuple[tuple[Extra, ...], tuple[Extra, ...]]] = MappingProxyType(
    {
        "none": ((), ()),
        "both": ((LOW, HIGH), ()),
        "alt": ((Extra.ALTERNATING,), ()),
        "low": ((LOW,), ()),
        "nibble": ((LOW, Extra.ZERO), ()),
        "list": ((), (Extra.LISTED,)),
        "after": ((), (LOW, HIGH)),
        "after-big": ((), (HIGH, LOW)),
        "all": ((LOW, HIGH, THIRD, FOURTH), ()),
    }
)
NIBBLE_PLACE = Place(12, 4, False, 8)  # data id mode NIBBLE: bits 8 to 11 of the data id stand in the payload


@dataclass(frozen=True, slots=True)
class Numbers:
    """A profile. Places count from the profile's offset in the message; a negative start counts from its end.

    ``fixed``: the places and the numbers that define the profile cannot be changed by a file, but for the data id mode among
    ``modes``. ``id_is_data_id``: the data
    id is the CAN identifier unless another is given. ``init_if_extended`` and ``xor_by_id``, ``xor_by_length`` replace
    ``init`` and ``xor_out`` of messages with a 29-bit identifier, of an identifier, of a length.
    """

    algorithm: Algorithm = Algorithm.CRC
    polynomial: int = 0
    width: int = 8
    init: int = 0
    xor_out: int = 0
    reflected: bool = False
    negative: bool = False
    data_id_mode: str = "none"
    counts_length: bool = False
    own_bits_are_zero: bool = False
    crc: Place | None = None
    counter: Place | None = None
    counter_max: int | None = None  # None = all that fits
    id_field: Place | None = None
    length_field: Place | None = None
    id_is_data_id: bool = False
    data_id_bits: int = 32
    fixed: bool = False
    modes: tuple[str, ...] = ()
    init_if_extended: int | None = None
    xor_by_id: Mapping[int, int] = field(default_factory=dict)
    xor_by_length: Mapping[int, int] = field(default_factory=dict)


_P01 = Numbers(
    fixed=True,
    polynomial=0x1D,
    crc=Place(0, 8),
    counter=Place(8, 4),
    counter_max=14,
    data_id_mode="both",
    data_id_bits=16,
    modes=("both", "alt", "low", "nibble"),
)
_P02 = Numbers(
    fixed=True,
    polynomial=0x2F,
    init=0xFF,
    xor_out=0xFF,
    crc=Place(0, 8),
    counter=Place(8, 4),
    data_id_mode="list",
    data_id_bits=8,
)
_P05 = Numbers(fixed=True, polynomial=0x1021, width=16, init=0xFFFF, data_id_bits=16)
_LAST = Place(-8, 8)
_SUM = Numbers(algorithm=Algorithm.SUM, id_is_data_id=True)

BUILT_IN: Mapping[str, Numbers] = MappingProxyType(
    {
        "autosar-p01": _P01,
        "autosar-p01-r3": replace(_P01, init=0xFF, xor_out=0xFF),
        "autosar-p02": replace(_P02, counter_max=15),
        "autosar-p04": Numbers(
            fixed=True,
            polynomial=0xF4ACFB13,
            width=32,
            reflected=True,
            init=0xFFFFFFFF,
            xor_out=0xFFFFFFFF,
            length_field=Place(7, 16, True),
            counter=Place(23, 16, True),
            id_field=Place(39, 32, True),
            crc=Place(71, 32, True),
        ),
        "autosar-p05": replace(_P05, crc=Place(0, 16), counter=Place(16, 8), data_id_mode="after"),
        "autosar-p06": replace(
            _P05,
            crc=Place(7, 16, True),
            length_field=Place(23, 16, True),
            counter=Place(32, 8),
            data_id_mode="after-big",
        ),
        "autosar-p07": Numbers(
            fixed=True,
            polynomial=0x42F0E1EBA9EA3693,
            width=64,
            reflected=True,
            init=0xFFFFFFFFFFFFFFFF,
            xor_out=0xFFFFFFFFFFFFFFFF,
            crc=Place(7, 64, True),
            length_field=Place(71, 32, True),
            counter=Place(103, 32, True),
            id_field=Place(135, 32, True),
        ),
        "autosar-p11": replace(_P01, modes=("both", "nibble")),
        "autosar-p22": replace(_P02, counter_max=15),
        "sae-j1850": Numbers(polynomial=0x1D, init=0xFF, xor_out=0xFF),
        "counter-only": Numbers(algorithm=Algorithm.NONE),
        "nissan-leaf": Numbers(polynomial=0x85, crc=_LAST, counter=Place(-16, 2)),
        "orion": replace(_SUM, data_id_mode="low", counts_length=True, crc=_LAST),
        "vw-mqb": replace(_P02, fixed=False),
        "vw-pq": Numbers(algorithm=Algorithm.XOR),
        "hyundai-canfd": Numbers(
            polynomial=0x1021,
            width=16,
            crc=Place(0, 16),
            counter=Place(16, 8),
            data_id_mode="after",
            id_is_data_id=True,
            xor_by_length={8: 0x5F29, 16: 0x041D, 24: 0x819D, 32: 0x9F5B},
        ),
        "toyota": replace(_SUM, data_id_mode="all", counts_length=True, crc=_LAST),
        "subaru": replace(_SUM, data_id_mode="all", crc=Place(0, 8), counter=Place(8, 4)),
        "tesla": replace(_SUM, data_id_mode="both"),
        "honda": Numbers(
            algorithm=Algorithm.NIBBLE_SUM,
            init=8,
            init_if_extended=11,
            negative=True,
            data_id_mode="all",
            id_is_data_id=True,
            crc=Place(-8, 4),
            counter=Place(-4, 2),
        ),
        "psa": Numbers(
            algorithm=Algorithm.NIBBLE_SUM,
            init=0xB,
            negative=True,
        ),
        "chrysler": Numbers(polynomial=0x1D, init=0xFF, xor_out=0xFF, crc=_LAST),
        "fca-giorgio": Numbers(
            polynomial=0x1D, xor_out=0x0A, crc=_LAST, xor_by_id={0xDE: 0x10, 0x106: 0xF6, 0x122: 0xF1}
        ),
        "rivian": Numbers(polynomial=0x1D, crc=Place(0, 8), counter=Place(8, 4), counter_max=14),
    }
)
