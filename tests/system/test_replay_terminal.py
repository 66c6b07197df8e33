"""``hil replay`` at a terminal: what is drawn, and what is asked."""

import os
import pty
import re
import subprocess
from pathlib import Path

from runs import HIL, ROOT, environment

DBC = str(ROOT / "dbc" / "bench.dbc")
PACK = "(%d.000000) can0 101#00000000%s0000\n"  # BMS_Pack.PackVoltage in bytes 4 and 5, 0.01 V


def at_terminal(*arguments: object, answers: str = "") -> tuple[int, str]:
    """The exit code and everything that came on the screen."""
    ours, theirs = pty.openpty()
    command = [*HIL, "replay", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm"))
    os.close(theirs)
    os.write(ours, answers.encode())
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the last program at the terminal has gone
        pass
    os.close(ours)
    return process.wait(), shown.decode()


def test_the_bar_of_a_long_replay_in_virtual_time_is_drawn_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    log = tmp_path / "slow.log"
    log.write_text("".join(PACK % (k, "0000") for k in range(5)))
    code, shown = at_terminal(log, "--dry-run", "--loop", "8000")
    assert code == 0
    assert "40000 of 40000 frames sent" in shown
    assert shown.count("replay") < 200  # 320,000 tenths of a second of log time


def test_a_breakpoint_asks_at_a_terminal_and_the_replay_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "pack.log"
    log.write_text("".join(PACK % (k, voltage) for k, voltage in enumerate(("0000", "FF7F", "FF7F"))))
    options = (log, "--dry-run", "--dbc", DBC, "--break", "BMS_Pack.PackVoltage > 100 V")
    code, shown = at_terminal(*options, answers="b\n\nc\n")
    assert code == 0, shown
    assert re.findall(r"before frame (\d+)", shown) == ["2", "1", "2"]
    assert "4 of 4 frames sent" in shown
    assert at_terminal(*options, answers="q\n")[0] == 3
