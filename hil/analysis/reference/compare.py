"""The reference plant over a profile, the twin over the same current, and how far they are apart."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import __version__
from hil.analysis.charts import Signal, chart, page
from hil.analysis.reference.plant import ReferencePlant
from hil.analysis.reference.profile import Profile
from hil.errors import BenchError, InputError, Problem
from hil.files.cell import CellModel

Floats = NDArray[np.float64]
LAST_S = 1e-3  # the last sample has no interval: its voltage is read at the start of one this long
WINDOW = (0.05, 0.95)
PLOT_POINTS = 6000
STEP = 50  # steps between two reports of progress


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a cell did, each of shape (samples,); ``voltage_v`` is that with the sample's own current flowing.

    ``ended`` says which limit of the model ended it before the profile did, empty if none.
    """

    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc: Floats
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Distance:
    """Twin less reference over some samples, in the unit of the values."""

    samples: int
    rms: float
    largest: float
    largest_at_s: float
    mean: float


def run(plant: ReferencePlant, profile: Profile, progress: Callable[[float], None] = lambda share: None) -> Trace:
    """Step ``plant`` (as it was reset) through a profile, until its end or the plant's.

    Raises InputError when the first current is beyond a limit, BenchError when the solver gives up.
    """
    steps_s = np.append(np.diff(profile.time_s), LAST_S)
    rows: list[tuple[float, float, float]] = []
    degc, soc = plant.temperature_degc, plant.soc
    for k, (current_a, dt_s) in enumerate(zip(profile.current_a.tolist(), steps_s.tolist(), strict=True)):
        if plant.ended:
            break
        after = plant.step(current_a, dt_s)
        if math.isnan(plant.began_v):
            break
        rows.append((plant.began_v, degc, soc))
        degc, soc = after.temperature_degc, after.soc
        if k % STEP == 0:
            progress(k / len(steps_s))
    kept = len(rows)
    if not kept:
        raise InputError(Problem("the first current of the profile is beyond a limit of the model", found=plant.ended))
    volts, temperatures, charges = np.array(rows, np.float64).T
    ended = f"{plant.ended} at {plant.time_s:.4g} s" if plant.ended and kept < len(steps_s) else ""
    return Trace(profile.time_s[:kept], profile.current_a[:kept], volts, temperatures, charges, ended)


def twin_beside(cell: CellModel, trace: Trace, held: bool) -> Trace:
    """The twin on a cell file over the same current, from the same start.

    ``held``: the temperature is the trace's own (an isothermal model); else the twin warms by its own heat.
    """
    from hil.twin.offline import predict

    degc: Floats | float = trace.temperature_degc if held else float(trace.temperature_degc[0])
    made = predict(cell, trace.time_s, trace.current_a, degc, float(trace.soc[0]))
    return Trace(trace.time_s, trace.current_a, made.voltage_v, made.temperature_degc, made.soc)


def distance(time_s: Floats, twin: Floats, reference: Floats, used: NDArray[np.bool_] | None = None) -> Distance | None:
    """How far the twin is from the reference, over the samples ``used`` (all when None); None where there are none."""
    kept = np.ones(len(time_s), np.bool_) if used is None else used
    if not kept.any():
        return None
    apart, times = (twin - reference)[kept], time_s[kept]
    worst = int(np.abs(apart).argmax())
    return Distance(
        int(kept.sum()),
        float(np.sqrt(np.mean(apart**2))),
        float(apart[worst]),
        float(times[worst]),
        float(np.mean(apart)),
    )


def in_window(trace: Trace) -> NDArray[np.bool_]:
    """Samples with a SoC inside 5-95 %."""
    return np.asarray((trace.soc >= WINDOW[0]) & (trace.soc <= WINDOW[1]))


def fields(trace: Trace, twin: Trace | None) -> dict[str, Any]:
    """The comparison as JSON fields: ``voltage``, ``voltage_5_95``, ``temperature`` and ``soc``, null without a twin."""
    base: dict[str, Any] = {
        "samples": len(trace.time_s),
        "duration_s": float(trace.time_s[-1]),
        "ended": trace.ended or None,
        "soc_end": float(trace.soc[-1]),
        "voltage": None,
        "voltage_5_95": None,
        "temperature": None,
        "soc": None,
    }
    if twin is None:
        return base
    t = trace.time_s
    base["voltage"] = _told(distance(t, twin.voltage_v, trace.voltage_v), 1e3, "mv")
    base["voltage_5_95"] = _told(distance(t, twin.voltage_v, trace.voltage_v, in_window(trace)), 1e3, "mv")
    base["temperature"] = _told(distance(t, twin.temperature_degc, trace.temperature_degc), 1.0, "k")
    base["soc"] = _told(distance(t, twin.soc, trace.soc), 100.0, "pct")
    return base


def _told(found: Distance | None, factor: float, unit: str) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "samples": found.samples,
        f"rms_{unit}": factor * found.rms,
        f"max_{unit}": factor * found.largest,
        "max_at_s": found.largest_at_s,
        f"mean_{unit}": factor * found.mean,
    }


def write(
    folder: Path, about: Mapping[str, Mapping[str, str]], told: dict[str, Any], trace: Trace, twin: Trace | None
) -> None:
    """Write ``comparison.html``, ``comparison.csv`` and ``comparison.json`` into a folder.

    Raises BenchError when they cannot be written.
    """
    title = next(iter(about["Profile"].values()))
    text = page(
        "plot.html.j2",
        version=__version__,
        title=f"{title}: physics model" + ("" if twin is None else " and twin"),
        subtitle=_subtitle(told),
        identity=[(group, dict(values)) for group, values in about.items()],
        chart=chart(_signals(trace, twin), [], None, PLOT_POINTS),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.html").write_text(text, encoding="utf-8", newline="\n")
        (folder / "comparison.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8", newline="\n")
        with (folder / "comparison.csv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            names = ["time_s", "current_a", "voltage_v", "temperature_degc", "soc"]
            columns = [trace.time_s, trace.current_a, trace.voltage_v, trace.temperature_degc, trace.soc]
            if twin is not None:
                names += ["twin_voltage_v", "twin_temperature_degc", "twin_soc"]
                columns += [twin.voltage_v, twin.temperature_degc, twin.soc]
            table.writerow(names)
            table.writerows(zip(*(c.tolist() for c in columns), strict=True))
    except OSError as error:
        raise BenchError(f"cannot write the comparison into {folder}: {error.strerror}") from error


def _subtitle(told: Mapping[str, Any]) -> str:
    parts = [f"{told['duration_s']:.6g} s, {told['samples']} samples"]
    if told["voltage"] is not None:
        parts.append(f"twin {told['voltage']['rms_mv']:.1f} mV rms, {told['voltage']['max_mv']:+.1f} mV at most")
    if told["ended"]:
        parts.append(f"ended early: {told['ended']}")
    return "; ".join(parts)


def _signals(trace: Trace, twin: Trace | None) -> list[Signal]:
    t = trace.time_s
    made = [Signal("physics model", "V", t, trace.voltage_v)]
    if twin is not None:
        made.append(Signal("twin", "V", t, twin.voltage_v))
        made.append(Signal("twin - physics model", "mV", t, 1e3 * (twin.voltage_v - trace.voltage_v)))
    made.append(Signal("current", "A", t, trace.current_a))
    made.append(Signal("SoC, physics model", "%", t, 100.0 * trace.soc))
    made.append(Signal("temperature, physics model", "degC", t, trace.temperature_degc))
    if twin is not None:
        made.append(Signal("SoC, twin", "%", t, 100.0 * twin.soc))
        made.append(Signal("temperature, twin", "degC", t, twin.temperature_degc))
    return made
