"""Small files of every layout that the readers of measured cells know, made from a cell of 30 mohm at 3.7 V."""

import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

OHM, REST_V = 0.03, 3.7


def voltage(current_a: Any) -> Any:
    """Of the made cell; positive current discharges."""
    return REST_V - OHM * np.asarray(current_a)


CURRENT_A = np.array([0.0, 0.0, 2.0, 2.0, -1.0, -1.0, 0.0, 3.0, 0.0, 0.0])
TIME_S = np.arange(CURRENT_A.size, dtype=np.float64)


def a123(folder: Path, temperature: str = "P25") -> None:
    """All seven tests of one temperature; the OCV files count a discharge as negative."""
    for script in ("S1", "S2", "S3", "S4"):
        head = "Test_Time(s),Step_Index,Current(A),Voltage(V),Charge_Capacity(Ah),Discharge_Capacity(Ah)"
        rows = [f"{t + 5},1,{-i},{v},0,0" for t, i, v in zip(TIME_S, CURRENT_A, voltage(CURRENT_A), strict=True)]
        packed(folder / f"A123_OCV_{temperature}_{script}.csv.gz", [head, *rows])
    for script in ("s1", "s2", "s3"):
        rows = [f"{t + 5},1,{i},{v}" for t, i, v in zip(TIME_S, CURRENT_A, voltage(CURRENT_A), strict=True)]
        packed(folder / f"A123_DYN_50_{temperature}_{script}.csv.gz", ["time,step,current,voltage", *rows])


def panasonic(folder: Path, trips: int = 2) -> None:
    """Trips with a discharge negative, and an OCV table."""
    array = np.column_stack((0.1 * TIME_S, -CURRENT_A, voltage(CURRENT_A)))
    np.savez(folder / f"udds_25degC_trips01-{trips:02d}.npz", **{f"trip{k + 1:02d}": array for k in range(trips)})
    soc = np.linspace(0.0, 1.0, 11)
    np.savez(folder / "soc_ocv.npz", soc_ocv=np.column_stack((soc, 3.0 + soc)))


def leaf(folder: Path, header: bool = True) -> Path:
    """A rest logged each minute behind a discharge logged each second; charge positive."""
    rows, t = [], 0.0
    for step, mode, current_a, step_s, count in (
        (1, "REST", 0.0, 60.0, 3),
        (2, "DCHG", -10.0, 1.0, 5),
        (3, "REST", 0.0, 60.0, 3),
    ):
        begin = t
        for _ in range(count):
            t += step_s
            v = float(voltage(-current_a))
            rows.append(f"No,{t},1,1,1,1,{step},{t - begin},{current_a},{v},0,0,0,{mode}, ,")
    head = "Exclude,Time(s),Cycle,Loop,Loop,Loop,Step,StepTime(s),Current(A),Voltage(V),Power(W),Capacity(Ah),Energy(Wh),Mode,Data,"
    path = folder / "cell-low-current-hppc-10c.csv.gz"
    packed(path, [head, *rows] if header else rows)
    return path


def lg_m50(folder: Path) -> None:
    """One pulse and one rate test at 25 degC, with what the cycler mixed up at the changes of current."""
    soc = np.linspace(0.0, 100.0, 11)
    ocv = {"meanOCV": 2.9 + 0.0125 * soc, "meanHys": np.full(11, -0.01), "refSoC": soc}
    savemat(folder / "LGM50_5Ah_OCV.mat", {"LGM50_5Ah_OCV": {"T25": ocv}})
    pulse = {
        "Step": [1, 2, 2, 2, 2, 3, 3, 3],
        "StepTime": [600.0, 0.0, 0.0, 1.0, 10.0, 0.0, 1.0, 10.0],
        "ProgTime": [100.0, 100.05, 100.05, 101.05, 110.05, 110.05, 111.05, 120.05],
        "Current": [0.0, 0.0, -7.4, -7.5, -7.5, 0.0, 0.0, 0.0],
        "Voltage": [3.7, 3.5, 3.48, 3.475, 3.475, 3.475, 3.69, 3.7],
        "LogTemp001": [np.nan, np.nan, 25.5, 25.5, 26.5, np.nan, 26.5, 26.5],
    }
    pulses = {"T25": {"SoC5": {"Cell1": {"data": pulse}}}}
    savemat(folder / "LGM50_5Ah_Pulse.mat", {"LGM50_5Ah_Pulse": pulses})
    rate = {
        "timeVec": [0.0, 0.0, 60.0, 120.0, 120.03, 180.0, 180.0, 240.0, 300.0, 360.0],
        "currVec": [0.0, -2.5, -2.5, -2.5, 0.0, 0.0, 0.0, 1.5, 1.5, 0.0],
        "volVec": [3.7, 3.62, 3.6, 3.6, 3.6, 3.68, 3.68, 3.75, 3.76, 3.7],
        "cellTemp_mid": [25.0] * 10,
    }
    rates = {"cRate_0p1C": rate, "cRate_0p5C": rate}
    savemat(folder / "LGM50_5Ah_RateTest.mat", {"LGM50_5Ah_RateTest": {"T25": rates}})


def packed(path: Path, lines: list[str]) -> None:
    """The lines in a gzip file without a time stamp."""
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))


MAKERS = {"a123": a123, "panasonic": panasonic, "leaf": leaf, "lg": lg_m50}


def folders(folder: Path) -> None:
    """One folder of each layout."""
    for name, make in MAKERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        make(folder / name)


def seeds(layout: str, file: str) -> tuple[bytes, ...]:
    """The content of one file of a layout."""
    with tempfile.TemporaryDirectory() as folder:
        MAKERS[layout](Path(folder))
        return ((Path(folder) / file).read_bytes(),)


def csv() -> tuple[bytes, ...]:
    """A CSV with named columns."""
    rows = [f"{t},{i},{v},25" for t, i, v in zip(TIME_S, CURRENT_A, voltage(CURRENT_A), strict=True)]
    return ("\n".join(["time_s,current_a,voltage_v,temperature_degc", *rows]).encode(),)
