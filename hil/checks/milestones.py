"""The instants every fault reaction is reported with: t1 said, t2 coils off, t3 path open or current interrupted.

They are the same for all checks, so a row is searched once and only a row that holds one touches the obligations.
"""

import numpy as np

from hil.checks.watch import CheckParams, CheckState
from hil.kernel import Floats, kernel


@kernel
def milestones(s: CheckState, p: CheckParams, t: float, row: Floats) -> None:
    """t1: state ERROR or a trouble code; t2: the last main coil off; t3: path open or current interrupted."""
    s.now_s[0] = _reported(s, p, row)
    s.now_s[1], s.now_s[2] = np.nan, np.nan
    plus, minus = row[p.col_measured_coil_main_plus], row[p.col_measured_coil_main_minus]
    if plus == plus and minus == minus:
        off = 1 if plus == 0.0 and minus == 0.0 else 0
        if off == 1 and s.coils_last == 0:
            s.now_s[1] = max(row[p.tcol_measured_coil_main_plus], row[p.tcol_measured_coil_main_minus])
        s.coils_last = off
    current = abs(row[p.col_measured_pack_current])
    if current == current:
        flows = 1 if current >= p.zero_current_a else 0
        if flows == 0 and s.flow_last == 1:
            s.now_s[2] = t
        s.flow_last = flows
    path = row[p.col_measured_contactor_main]
    if path == path:
        is_open = 1 if path == 0.0 else 0
        if is_open == 1 and s.open_last == 0:
            s.now_s[2] = row[p.tcol_measured_contactor_main]
        s.open_last = is_open
    if s.now_s[0] == s.now_s[0] or s.now_s[1] == s.now_s[1] or s.now_s[2] == s.now_s[2]:
        _note(s, p)


@kernel
def _reported(s: CheckState, p: CheckParams, row: Floats) -> float:
    """When the BMS first said in this row that something is wrong; NaN when it did not change its mind."""
    first = np.nan
    state = row[p.col_reported_state]
    if state == state:
        error = 1 if state == p.error_state else 0
        if error == 1 and s.error_last == 0:
            first = row[p.tcol_reported_state]
        s.error_last = error
    for i in range(p.n_dtc):
        code = row[p.dtc[i]]
        if code == 1.0 and s.dtc_last[i] == 0:
            since = row[p.dtc_t[i]]
            if not since >= first:
                first = since
        if code == code:
            s.dtc_last[i] = 1 if code == 1.0 else 0
    return first


@kernel
def _note(s: CheckState, p: CheckParams) -> None:
    """Give this row's milestones to every obligation that still lacks them."""
    for i in range(3):
        now = s.now_s[i]
        if now != now:
            continue
        s.event_s[i] = now
        for j in range(p.n_watches):
            w = s.watch[j]
            if now >= w.open_t_s[0] and np.isnan(w.open_t_s[i + 1]):
                w.open_t_s[i + 1] = now
            if now >= w.kept_t_s[0] and np.isnan(w.kept_t_s[i + 1]):
                w.kept_t_s[i + 1] = now
