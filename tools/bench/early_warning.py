"""How soon the twin warns of an internal short and of a thermal runaway, and how often for nothing.

Method. A pack of 96 A123 cells in series, one in parallel (scenarios/packs/a123_96s40p.yaml with parallel = 1), is the
plant; between it and the twin stand sensors with noise (1 mV, 0.2 % of 1 C, 0.1 K a sample at 10 Hz), offsets (2 mV a
channel, 0.5 K a sensor), a current with 0.1 % of 1 C of zero and 0.5 % of gain, cells that spread by 5 % of resistance,
2 % of capacity and 1 % of SoC, and a twin that starts 3 % wrong. It drives by UDDS from 92 to 15 %, rests, charges, rests.
Everything is drawn by seed, so that the figures are the same every time.

Shorts are stated for a 2.5 Ah cell. What a short does to voltages depends on its leak in C only, so that the same figures
hold for R times 2.5 Ah over the capacity: 1.21 ohm for these 2.07 Ah cells, 30 mohm for a group of 40. A run that is not
about seconds takes ticks of 1 s and sensors averaged as long. ``cycle_s`` is one drive with rest, charge and rest, as
measured here: 100 ohm has to be found within it. The clock starts when the short does, after the driving that
``drives`` tells; found = the first warning, and it names the cell.

The runaway starts when the coolant stops and a heater of ``heater_w`` begins in one cell of 73 J/K, on a temperature
sensor or beside one: 5 W are 4 K/min. Venting is the plant's (150 degC). The lead is from the warning to the first vent.

False alarms: warnings in 24 h of driving, with balancing and a coolant that swings by 8 K, and on real cells from --data
(whose absence is told in ``real_absent``), run through the twin until their first warning.
"""

import argparse
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from hil.files.pack import PackModel, ScatterModel, load_pack  # noqa: E402
from hil.image import WARNINGS  # noqa: E402
from tools.bench.warning_drive import Case, Drive  # noqa: E402
from tools.bench.warning_real import follow, runs  # noqa: E402

OHMS, LIMITS_S = (1.0, 10.0, 100.0), (10.0, 600.0, math.inf)  # 100 ohm: one cycle, measured
LEAD_S, STATED_AH = 300.0, 2.5
DAY_S = 86400.0
EXAMPLES = """examples:
  python tools/bench/early_warning.py            figures for people
  python tools/bench/early_warning.py --json     for programs; exit 1 when a required figure is missed
  python tools/bench/early_warning.py --full     every SoC, temperature, position and seed; takes long
"""


def say(text: str) -> None:
    """Progress, where it does not disturb the figures."""
    print(text, file=sys.stderr, flush=True)


def one_parallel() -> PackModel:
    """The example pack with single cells that spread as measured ones do."""
    pack = load_pack(ROOT / "scenarios" / "packs" / "a123_96s40p.yaml")
    share = 1.0 / pack.parallel
    thermal = pack.thermal.model_copy(
        update={
            "between_groups": pack.thermal.between_groups * share,
            "to_coolant": (pack.thermal.to_coolant or 0.0) * share or None,
        }
    )
    scatter = ScatterModel.model_validate(
        {"capacity_sigma": "2 %", "resistance_sigma": "5 %", "soc_sigma": "1 %", "source": "six LG M50: 3 to 8 %"}
    )
    return pack.model_copy(update={"parallel": 1, "thermal": thermal, "scatter": scatter})


def short_cases(ohm: float, full: bool) -> Iterator[Case]:
    """Where shorts are put: the sample has the middle of the LFP plateau, where a voltage says least of charge."""
    if ohm > 50.0:
        plain = Case(soc=0.9, dt_ms=1000, cell=47, from_s=4500.0, seed=1)
        yield from (plain, replace(plain, seed=2))
        if full:
            for seed, degc, from_s in itertools.product((3, 4), (5.0, 25.0, 40.0), (4500.0, 20000.0)):
                yield replace(plain, seed=seed, degc=degc, cell=(seed * 31) % 96, from_s=from_s)
        return
    yield Case(soc=0.92, from_s=4500.0, cell=47, seed=1)
    if full:
        for soc, degc, cell in itertools.product((0.7, 0.8, 0.92), (0.0, 25.0, 40.0), (0, 47, 95)):
            yield Case(soc=soc, degc=degc, from_s=4500.0, cell=cell, seed=5)


def find_short(pack: PackModel, case: Case, ohm: float, most_s: float, cycle: Any) -> tuple[float | None, str]:
    """(time from the short to the warning that names its cell, None when there was none or another came first; what)."""
    d = Drive(pack, replace(case, short_ohm=ohm * STATED_AH / pack.capacity_ah), cycle)
    d.run(case.from_s)
    if d.watch["level"]:
        return None, f"false alarm before it, cell {d.watch['cell']:.0f}"
    at_s = d.run(most_s, stop=True)
    level = int(d.watch["level"])
    if not level:
        return None, "not found"
    what = f"{WARNINGS[level]}, cell {d.watch['cell']:.0f}, leak {d.watch['warning']['leak_a'][case.cell] * 1e3:.0f} mA"
    return (at_s - case.from_s if d.watch["cell"] == case.cell else None), what


def cycle_length(pack: PackModel, cycle: Any) -> float:
    """Time of drive, rest, charge and rest from 92 % back to 92 %, s."""
    d = Drive(pack, Case(soc=0.92, dt_ms=1000, scatter=False), cycle)
    while int(d.s["course"]["phase"]) == 0:
        d.run(60.0)
    while int(d.s["course"]["phase"]) != 0:
        at_s = d.run(60.0)
    return at_s


def run_away(pack: PackModel, heater_w: float, cell: int, cycle: Any) -> tuple[float | None, str]:
    """(time from the warning to the first vented cell, None when it did not come before; what)."""
    case = Case(soc=0.7, dt_ms=200, from_s=900.0, heating_w=heater_w, coolant_share=0.0, cell=cell, seed=1)
    d = Drive(pack, case, cycle)
    d.run(case.from_s)
    early = int(d.watch["level"])
    told_s = d.run(14400.0, stop=True)
    what = (
        f"{WARNINGS[int(d.watch['level'])]} at {d.degc(cell):.1f} degC, {told_s - case.from_s:.0f} s after the heater"
    )
    vented_s = math.nan
    while not d.vented() and (vented_s := d.run(5.0)) < 30000.0:
        pass
    if early or not d.vented() or not d.watch["level"]:
        return None, what + (", false alarm before it" if early else ", nothing vented")
    return vented_s - told_s, what


def false_alarms(pack: PackModel, cycle: Any, data: Path, full: bool) -> tuple[dict[str, int], list[str]]:
    """False alarms of every run, and the real ones that could not be made."""
    counted = {}
    plain = Case(soc=0.9, dt_ms=1000, balanced=7, swing_k=8.0, seed=3)
    cases = [plain]
    if full:
        cases += [
            replace(plain, seed=s, scale=x, degc=t) for s, x, t in itertools.product((4, 5), (0.5, 1.0), (5.0, 25.0))
        ]
    for case in cases:
        say(f"24 h of driving, seed {case.seed}, {case.degc:g} degC")
        d = Drive(pack, case, cycle)
        d.run(DAY_S)
        told = (
            np.flatnonzero(d.watch["warning"]["told"][: pack.series]).size
            + np.flatnonzero(d.watch["heat"]["told"]).size
        )
        counted[f"driving, seed {case.seed}, scale {case.scale:g}, {case.degc:g} degC"] = int(told)
    found, absent = runs(data)
    for run in found:
        say(f"real: {run.name}")
        since_s, kind, cell = follow(run)
        counted[
            run.name if math.isnan(since_s) else f"{run.name}: {WARNINGS[kind]} of cell {cell:g} at {since_s:.0f} s"
        ] = int(kind > 0)
    return counted, absent


def worst(times: list[float | None]) -> float | None:
    """The longest; None when one is missing."""
    kept = [t for t in times if t is not None]
    return max(kept) if len(kept) == len(times) and kept else None


def measure(full: bool, data: Path) -> dict[str, Any]:
    """All figures, with their thresholds and what each run said."""
    pack, cycle = one_parallel(), np.loadtxt(ROOT / "scenarios" / "cycles" / "udds.csv")
    say("compiling, and one cycle")
    cycle_s = cycle_length(pack, cycle)
    out: dict[str, Any] = {"cycle_s": cycle_s, "drives": {}}
    limits = dict(zip(OHMS, (*LIMITS_S[:2], cycle_s), strict=True))
    for ohm in OHMS:
        times = []
        for case in short_cases(ohm, full):
            say(f"{ohm:g} ohm, seed {case.seed}, cell {case.cell}, {case.degc:g} degC")
            found_s, what = find_short(pack, case, ohm, 2.0 * limits[ohm], cycle)
            times.append(found_s)
            name = f"{ohm:g} ohm, cell {case.cell}, seed {case.seed}, {case.degc:g} degC, from {case.from_s:g} s"
            out["drives"][name] = {"found_s": found_s, "what": what}
        out[f"isc_{ohm:g}_ohm_s"] = worst(times)
    leads = []
    for heater_w, cell in ((5.0, 45), (5.0, 46)) if not full else itertools.product((5.0, 10.0, 20.0), (0, 45, 46, 95)):
        say(f"runaway by {heater_w:g} W in cell {cell}")
        lead_s, what = run_away(pack, heater_w, cell, cycle)
        leads.append(lead_s)
        out["drives"][f"runaway, {heater_w:g} W, cell {cell}"] = {"lead_s": lead_s, "what": what}
    out["runaway_lead_s"] = None if None in leads else min(v for v in leads if v is not None)
    counted, out["real_absent"] = false_alarms(pack, cycle, data, full)
    out["false_alarms"], out["false_alarms_by_run"] = sum(counted.values()), counted
    out["ohm_of_these_cells"] = {f"{ohm:g}": ohm * STATED_AH / pack.capacity_ah for ohm in OHMS}
    out["heater_w"] = 5.0
    out["thresholds"] = thresholds(out, limits)
    return out


def thresholds(out: dict[str, Any], limits: dict[float, float]) -> dict[str, Any]:
    """Every required figure: limit, value, reached."""
    rows = {f"isc_{ohm:g}_ohm_s": (out[f"isc_{ohm:g}_ohm_s"], limits[ohm]) for ohm in OHMS}
    judged = {k: {"at_most": m, "is": v, "reached": v is not None and v <= m} for k, (v, m) in rows.items()}
    lead = out["runaway_lead_s"]
    judged["runaway_lead_s"] = {"at_least": LEAD_S, "is": lead, "reached": lead is not None and lead >= LEAD_S}
    judged["false_alarms"] = {"at_most": 0, "is": out["false_alarms"], "reached": out["false_alarms"] == 0}
    return judged


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 0 all reached, 1 not."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument(
        "--full", action="store_true", help="all SoC, temperatures, positions and seeds, not the sample"
    )
    default = os.environ.get("CELLBENCH_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default) / "cells", metavar="DIR", help="measured cells")
    given = parser.parse_args(argv)
    out = measure(given.full, given.data)
    if given.json:
        print(json.dumps(out, indent=1))
    else:
        for name, told in out["drives"].items():
            print(f"{name}: {told}")
        for name, count in out["false_alarms_by_run"].items():
            print(f"false alarms, {name}: {count}")
        for line in out["real_absent"]:
            print(f"not run: {line}")
        for name, judged in out["thresholds"].items():
            print(f"{name}: {judged}")
    return 0 if all(judged["reached"] for judged in out["thresholds"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
