"""Named defects of the reference BMS: what test scenarios are expected to find.

A defect changes the calibration, or replaces one named function in the CPython build; healthy code knows nothing of it.
A replacement runs with the globals of the module it goes into.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hil.codec.e2e import E2eStatus
from hil.errors import InputError, Problem, nearest
from hil.virtual.bms.record import BmsState, Dtc, State

Patch = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect: ``calibrate`` changes a view of the configuration, ``rules`` replaces functions."""

    name: str
    meaning: str
    calibrate: Patch | None = None
    rules: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def _limit(field_name: str, code: Dtc, change: Callable[[int], int]) -> Patch:
    def patch(c: Any) -> None:
        values = getattr(c, field_name)
        values[code] = change(int(values[code]))

    return patch


def _number(field_name: str, change: Callable[[int], int]) -> Patch:
    def patch(c: Any) -> None:
        setattr(c, field_name, change(int(getattr(c, field_name))))

    return patch


def _keep_coil(switch: int, coil: int) -> int:
    return coil


def _say_open(auxiliary: int, state: int) -> int:
    return 0 if state == State.ERROR else auxiliary


def _say_nothing(code: int, dtc: int) -> int:
    return 0


def _use_any_counter(status: int) -> int:
    return 0 if status == E2eStatus.ERROR else 1


def _no_order(status: int) -> int:
    return 0


def _use_all(status: int) -> int:
    return 1


def _clear_always(s: BmsState) -> int:
    return 1


def _always_open(current_ma: int, limit_ma: int) -> int:
    return 1


def _backwards(current_ma: int, dt_ns: int) -> int:
    return -current_ma * (dt_ns // 1_000_000)


NEVER = 10**9

_ALL = (
    Defect("ov_never_trips", "no over-voltage is ever seen", _limit("msl", Dtc.CELL_OV, lambda _: NEVER)),
    Defect(
        "ov_debounce_10x",
        "over-voltage counts ten times too long",
        _limit("debounce_ns", Dtc.CELL_OV, lambda t: 10 * t),
    ),
    Defect("ov_threshold_high_50mv", "over-voltage limit 50 mV too high", _limit("msl", Dtc.CELL_OV, lambda v: v + 50)),
    Defect(
        "uv_threshold_low_200mv", "under-voltage limit 200 mV too low", _limit("msl", Dtc.CELL_UV, lambda v: v - 200)
    ),
    Defect(
        "uv_delay_2x",
        "under-voltage opens after twice the delay",
        _limit("delay_ns", Dtc.CELL_UV, lambda t: 2 * t),
    ),
    Defect("ot_charge_ignored", "over-temperature in charge only warns", _limit("opens", Dtc.OT_CHARGE, lambda _: 0)),
    Defect(
        "oc_discharge_only_warns",
        "over-current sets its code, contactors stay",
        _limit("opens", Dtc.OC_DISCHARGE, lambda _: 0),
    ),
    Defect(
        "plausibility_off",
        "sum and pack voltage are not compared",
        _limit("msl", Dtc.PLAUSIBILITY_SUM, lambda _: NEVER),
    ),
    Defect("open_wire_off", "an open sense wire is not seen", _limit("msl", Dtc.OPEN_WIRE, lambda _: NEVER)),
    Defect(
        "request_timeout_3x",
        "a missing request opens too late",
        _limit("debounce_ns", Dtc.REQUEST_TIMEOUT, lambda t: 3 * t),
    ),
    Defect(
        "precharge_ends_early", "mains close onto a half-charged link", _number("precharge_end_permille", lambda _: 500)
    ),
    Defect(
        "soc_capacity_half", "charge is counted against half the capacity", _number("capacity_uas", lambda q: q // 2)
    ),
    Defect(
        "contactor_stays_closed_on_error",
        "ERROR leaves the coils as they are",
        rules={"rules.wanted_in_error": _keep_coil},
    ),
    Defect(
        "reports_open_but_closed",
        "ERROR leaves the coils on and reports the contactors open",
        rules={"rules.wanted_in_error": _keep_coil, "rules.reported_contactor": _say_open},
    ),
    Defect("dtc_never_sent", "trouble codes stay in the BMS", rules={"rules.reported_dtc": _say_nothing}),
    Defect(
        "alive_counter_ignored",
        "a frozen or jumping counter goes unnoticed",
        rules={"rules.request_usable": _use_any_counter, "rules.request_out_of_order": _no_order},
    ),
    Defect("crc_ignored", "damaged requests are obeyed", rules={"rules.request_usable": _use_all}),
    Defect(
        "clear_ignores_fault",
        "CLEAR works while the fault is still there",
        rules={"rules.clear_accepted": _clear_always},
    ),
    Defect(
        "opens_at_any_current", "contactors open above their breaking capacity", rules={"rules.may_open": _always_open}
    ),
    Defect(
        "soc_counts_backwards",
        "the sign of the current is wrong in the charge count",
        rules={"rules.moved_charge_uas": _backwards},
    ),
)

DEFECTS: Mapping[str, Defect] = {defect.name: defect for defect in _ALL}


def find_defects(names: Iterable[str]) -> tuple[Defect, ...]:
    """The defects of these names. Raises InputError for an unknown one, with the nearest."""
    wanted = tuple(names)
    unknown = [name for name in wanted if name not in DEFECTS]
    if unknown:
        raise InputError(
            [Problem(f"no defect {n!r} of the reference BMS", nearest=nearest(n, DEFECTS) or "") for n in unknown]
        )
    return tuple(DEFECTS[name] for name in wanted)
