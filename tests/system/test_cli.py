"""The command line in processes of its own: errors, exit codes, interruption, output for programs."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mcap.reader import make_reader
from runs import HIL, ROOT, environment, hil, written

from hil.campaign.run import Outcome, Screen

ONE_LINE = 1
ATTACHED_BYTES = 200_000  # more than the files a record begins with: rows have been written


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error; anything more or a traceback fails."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(lines) == ONE_LINE, lines
    return lines[0]


WRONG = [
    # what is written instead, line and column of it in the file, words that must be said
    (("seed: 3", "sed: 3"), "written.yaml:4:1", ["sed", "seed"]),
    (("soc: 60 %", "soc: 60 V"), "written.yaml:5:", ["60 V", "%"]),
    (("current: 5 A", "current: 5 V"), "written.yaml:10:14", ["in V", "100 A"]),
    (("measured.pack_current", "measured.pack_curent"), "written.yaml:13:", ["pack_curent", "measured.pack_current"]),
    (("packs/a123_96s40p.yaml", "packs/a123_96s.yaml"), "written.yaml:2:", ["a123_96s.yaml", "a123_96s40p.yaml"]),
]


@pytest.mark.parametrize(("change", "where", "words"), WRONG, ids=["key", "unit", "current", "signal", "file"])
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_wrong_file_is_one_clear_line_with_position_and_suggestion(
    command: str, change: tuple[str, str], where: str, words: list[str], tmp_path: Path
) -> None:
    path = written(tmp_path, change=change)
    more = ["--out", tmp_path / "out"] if command == "run" else []
    line = complaint(hil(command, path, *more))
    assert where in line
    assert [w for w in words if w not in line] == []
    assert not list(tmp_path.rglob("*.mcap"))


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, change=("soc: 60 %, temperature: 25 degC", "soc: 60 V, temperatur: 25 degC"))
    done = hil("check", path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "temperature" in done.stderr


def test_a_file_that_is_not_there_is_named_with_the_nearest() -> None:
    line = complaint(hil("run", ROOT / "scenarios" / "cell_overvoltag.yaml"))
    assert "cell_overvoltage.yaml" in line


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("received_crc, target: BMS_Cells", "received_crc on BMS_Cells: the message has no end-to-end protection"),
        ("frame_counter_jump, target: VEH_Request, steps: 15", "a counter from 0 to 14 does not change by 15 steps"),
        ("frame_data_id, target: VEH_Request, data_id: 0x10F0", "data id 0x10F0 gives the same checksum as its own"),
    ],
)
def test_a_fault_that_would_change_nothing_is_told_before_the_run(fault: str, words: str, tmp_path: Path) -> None:
    line = complaint(hil("check", written(tmp_path, change=("mark: begin", f"fault: {{kind: {fault}}}"))))
    assert "written.yaml:8:" in line
    assert words in line


@pytest.mark.parametrize("command", ["check", "run"])
def test_what_a_bench_file_says_of_the_rest_of_the_bus_is_checked_at_its_place(command: str, tmp_path: Path) -> None:
    bench, more = tmp_path / "bench.yaml", ["--out", tmp_path / "out"] if command == "run" else []
    text = (ROOT / "scenarios" / "benches" / "virtual.yaml").read_text().replace("../../dbc", str(ROOT / "dbc"))
    at = text.count("\n") + 1
    bench.write_text(
        f"{text}restbus:\n  senders: [Bench, BMSS]\n  suppress: [VEH_Reqest, 0x3E8]\n  cycles: {{Speed: 20 ms}}\n"
    )
    done = hil(command, written(tmp_path), "--bench", bench, *more)
    assert done.returncode == 2
    assert [line.removeprefix("hil: ") for line in done.stderr.splitlines()] == [
        f"{bench}:{at + 1}:20: no node 'BMSS': expected Bench, BMS; did you mean 'BMS'?",
        f"{bench}:{at + 2}:14: suppress: no message VEH_Reqest that is sent here; did you mean 'VEH_Request'?",
        f"{bench}:{at + 2}:26: suppress: no message 0x3E8 that is sent here",
        f"{bench}:{at + 3}:12: cycles: no message Speed that is sent here",
    ]


def test_an_unknown_defect_is_named_with_the_nearest(tmp_path: Path) -> None:
    line = complaint(hil("run", written(tmp_path), "--out", tmp_path / "out", "--defect", "ov_never_trip"))
    assert "ov_never_trip" in line
    assert "ov_never_trips" in line


def test_an_unknown_case_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = ROOT / "scenarios" / "cell_overvoltage.yaml"
    line = complaint(hil("run", path, "--out", tmp_path / "out", "--case", "cell=48"))
    assert "cell=47" in line


def test_a_good_file_checks_clean_and_says_so_for_programs_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert hil("check", path).returncode == 0
    done = hil("check", path, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    bad = hil("check", written(tmp_path, change=("seed: 3", "sed: 3")), "--json")
    found = json.loads(bad.stdout)
    assert (bad.returncode, found[0]["line"], found[0]["column"], found[0]["nearest"]) == (2, 4, 1, "seed")


def test_json_is_the_verdicts_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = hil("run", written(tmp_path), "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((out / "verdicts.json").read_text())
    keys = {"id", "status", "time_s", "margin", "margin_unit", "t0_s", "t1_s", "t2_s", "t3_s", "reason"}
    assert keys <= set(printed[0]["checks"][0])
    assert (out / printed[0]["record"]).is_file()
    assert {p.name for p in out.iterdir()} >= {"verdicts.json", "junit.xml", "report.html", "run.json", "record.mcap"}


def test_a_person_sees_the_verdict_a_sentence_and_where_the_files_are(tmp_path: Path) -> None:
    done = hil("run", written(tmp_path), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for word in ("A-1", "PASS", "record:", "report:"):
        assert word in done.stdout


def test_names_and_reasons_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "The wait for shown.cell_voltage[each]\n> 3 V :on: expired [/x] \x1b[2J\ud800."
    blank = {"margin": None, "margin_unit": "", "time_s": 1.0}
    checks = [{"id": "A[red]", "status": "FAIL", "reason": reason, **blank}]
    case = {"name": "[x]", "case": "c[1]", "record": "[b].mcap", "checks": checks}
    screen = Screen(quiet=False)
    screen.table(Outcome([case]))
    assert screen.follow("[/]", lambda on_progress: on_progress(10**9)) is None
    told = " ".join(capsys.readouterr().out.split())
    for word in ("[x] c[1]", "A[red]", "shown.cell_voltage[each] > 3 V :on: expired [/x] ?[2J?.", "[b].mcap"):
        assert word in told


def test_an_interrupted_run_leaves_a_readable_record_and_exit_130(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = written(tmp_path, length="60 s")
    hil("run", written(tmp_path), "--out", tmp_path / "warm")  # kernels compiled: the next run starts at once
    path = written(tmp_path, length="60 s")
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background job is deaf
    )
    command = [*HIL[:-1], f"{heard}; {HIL[-1]}", "run", str(path), "--out", str(out), "--clock", "real"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    record = out / "record.mcap"
    deadline = time.monotonic() + 120
    while not (record.exists() and record.stat().st_size > ATTACHED_BYTES):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run did not begin to record"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    with record.open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary is not None
        assert sum(summary.statistics.channel_message_counts.values()) > 0
        assert sum(1 for _ in reader.iter_messages()) > 0
    assert hil("show", record).returncode == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hil.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', sorted(m for m in ('numpy', 'numba', 'pint', 'cantools', 'scipy', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stderr


@pytest.mark.parametrize("command", ["run", "check", "schema", "list", "judge", "recover", "show", "export"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = hil(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout


@pytest.mark.parametrize(("flag", "name"), [((), "scenario"), (("--bench",), "bench")])
def test_the_committed_schema_is_what_the_program_prints(flag: tuple[str, ...], name: str) -> None:
    done = hil("schema", *flag)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["type"] == "object"
    assert (ROOT / "docs" / "reference" / f"{name}.schema.json").read_text("utf-8") == done.stdout


def test_list_names_every_scenario_with_its_cases() -> None:
    done = hil("list", ROOT / "scenarios", "--json")
    assert done.returncode == 0, done.stderr
    found = {Path(entry["path"]).stem: entry for entry in json.loads(done.stdout)}
    assert set(found) == {p.stem for p in (ROOT / "scenarios").glob("*.yaml")}
    assert found["cell_overvoltage"]["cases"] == ["cell=0", "cell=47", "cell=95"]
    assert len(found["cell_overvoltage_each"]["cases"]) == 96
    assert "UDDS" in hil("list", ROOT / "scenarios").stdout


def test_list_without_paths_shows_what_ships(tmp_path: Path) -> None:
    done = hil("list", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cell_overvoltage" in {Path(entry["path"]).stem for entry in json.loads(done.stdout)}


def test_problems_of_steps_and_of_expectations_are_told_together(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text().replace("steps:", "steps:\n  - {at: 0 s, set: {shown.suply: 9 V}}", 1)
    path.write_text(text + "  - id: wrong\n    never: measured.pack_curent > 1 A\n")
    done = hil("check", path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert "shown.supply" in lines[0]
    assert "measured.pack_current" in lines[1]
