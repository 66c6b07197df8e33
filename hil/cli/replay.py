"""``hil replay``: logs played onto a bus, into a file, into the virtual BMS, or against expectations."""

import sys
from pathlib import Path
from typing import Any

import click

from hil.cli.group import EXISTING, FORCE, main

_EPILOG = """\b
Examples:
  hil replay drive.blf --interface socketcan --channel can0
  hil replay drive.log --interface slcan --channel /dev/ttyACM0 --bitrate 500000 --late-limit 5ms
  hil replay a.asc b.trc --loop 3 --pause 1s --speed 2 --max-gap 5s --interface socketcan --channel can0
  hil replay drive.blf --window 10s..20s --id "0x100-0x1FF,!0x120" --direction rx --out part.blf
  hil replay drive.blf --dbc dbc/bench.dbc --e2e dbc/bench.e2e.yaml --set "BMS_Pack.PackVoltage=420 V" --out hot.blf
  hil replay drive.blf --dbc dbc/bench.dbc --e2e dbc/bench.e2e.yaml --corrupt crc:BMS_State@2s..3s --out bad.blf
  hil replay drive.blf --dbc dbc/bench.dbc --break "BMS_Pack.PackVoltage > 400 V" --dry-run
  hil replay drive.blf --expect scenarios/cell_overvoltage.yaml
  hil replay drive.blf --expect car_limits.yaml --bench car.yaml
  hil replay drive.blf --into virtual-bms
  hil replay results/record.mcap --into engine

\b
Exit codes: 0 all frames handled, or nobody reads them any more; 1 late limit, golden file or expectation failed;
2 bad input; 3 stopped at a breakpoint, nothing to send, or a log of which a part could not be read; 4 frames could not
be sent, or others are not heard any more; 130 interrupted.
"""


@main.command("replay", epilog=_EPILOG)
@click.argument("logs", nargs=-1, required=True, type=EXISTING)
@click.option("--speed", default="1", show_default=True, help="Factor of the log's own time: 2, 0.5, 1/3.")
@click.option("--fast", is_flag=True, help="As fast as possible, whatever the log's times.")
@click.option("--gap", help="One frame each so often instead of the log's times: 5ms.")
@click.option("--burst", type=click.IntRange(1), help="With --gap: so many frames at once each time.")
@click.option("--max-gap", help="Cut silences of the log that are longer to this: 2s.")
@click.option("--fit-bus", help="Send no faster than frames fit a bus of this many bit/s: 500000, FD: 500000/2000000.")
@click.option("--loop", default="1", show_default=True, help="How often the whole playlist is played, or 'forever'.")
@click.option("--pause", default="0s", show_default=True, help="Time between two logs, and between two rounds.")
@click.option("--delay", help="Time before the first frame, after --wait-for: 50ms.")
@click.option("--window", help="Part of each log to play, in its own time: 10s..20s, 10s.., ..20s.")
@click.option("--start-on", help="Begin each log with its first frame like this: 0x123, or 'Message.Signal > 5 V'.")
@click.option("--wait-for", help="Wait until others send on the bus: 'traffic', or identifiers as for --id.")
@click.option("--id", "ids", multiple=True, help="Only these: 0x1A0, 0x100-0x1FF, 0x100/0x7F0, BMS_*; ! keeps out.")
@click.option("--direction", type=click.Choice(["rx", "tx"]), help="Only frames the log's recorder received or sent.")
@click.option("--only-channel", "channels", multiple=True, type=click.IntRange(0, 255), help="Only this log channel.")
@click.option("--map-id", multiple=True, help="Send under another identifier: 0x100=0x200, or names.")
@click.option("--map-channel", multiple=True, help="Renumber channels: 0=1.")
@click.option("--dbc", type=EXISTING, help="Database for names and signals; with --expect, of the log.")
@click.option(
    "--e2e", type=EXISTING, help="File that tells how messages are protected; counters and checksums then fit."
)
@click.option(
    "--set", "changes", multiple=True, help="Rewrite a signal: 'M.S=5 V', 'M.S+=1', 'M.S*=2', with @10s..20s."
)
@click.option(
    "--out-of-range", default="error", show_default=True, help="Values that do not fit: error, saturate, wrap."
)
@click.option(
    "--repair",
    type=click.Choice(["touched", "all", "off"]),
    default="touched",
    show_default=True,
    help="Which protected frames get a checksum that fits.",
)
@click.option("--renumber", is_flag=True, help="Number the counters of protected messages anew, without gaps.")
@click.option("--corrupt", multiple=True, help="crc, counter-stuck, counter-jump, data-id or stale:Message[@10s..20s].")
@click.option("--drop", multiple=True, help="Leave out a share of frames by chance: 5%, or IDS:5%.")
@click.option("--duplicate", multiple=True, help="Send a share of frames twice: 1%, or IDS:1%.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Seed of all chance.")
@click.option("--suppress-live", is_flag=True, help="Do not send identifiers that someone else sends on the bus.")
@click.option("--interface", help="Interface of python-can: socketcan, slcan, pcan, vector, kvaser, virtual ...")
@click.option("--channel", help="Channel of the interface: can0, /dev/ttyACM0, COM3 ...")
@click.option("--bitrate", type=click.IntRange(1), help="Bit rate in bit/s, for interfaces that set one.")
@click.option("--bus-option", multiple=True, help="Further option of the interface: name=value.")
@click.option("--route", multiple=True, help="Another interface for one log channel: 1=socketcan:can1.")
@click.option("--out", type=EXISTING, help="Write what would be sent to a log: .blf .asc .log .trc .csv .mf4, .gz too.")
@FORCE
@click.option("--stdout", "to_stdout", is_flag=True, help="Print candump lines in the replay's time.")
@click.option("--dry-run", is_flag=True, help="Send nothing; plan, count and report in virtual time.")
@click.option(
    "--break", "breakpoints", multiple=True, help="Stop before the frame with which a condition becomes true."
)
@click.option("--step", is_flag=True, help="One frame per Enter; b goes back, c on, q ends.")
@click.option("--late-limit", help="Fail when any frame is later than this: 5ms.")
@click.option("--send-timeout", default="1s", show_default=True, help="How long a frame is offered to a full bus.")
@click.option("--no-realtime", is_flag=True, help="Do not ask for real-time scheduling.")
@click.option("--golden", type=EXISTING, help="Compare what was sent (or the new record) with this file.")
@click.option("--update", is_flag=True, help="Take the new result as the golden file.")
@click.option("--tolerance", multiple=True, help="Allowed difference: a number, a time such as 5ms, or a golden.yaml.")
@click.option("--ignore", multiple=True, help="Signals not compared: Message.Signal with * and ?.")
@click.option("--expect", type=EXISTING, help="Judge the log by the expect blocks of this scenario.")
@click.option(
    "--into", type=click.Choice(["virtual-bms", "engine"]), help="Let the virtual BMS react, or run a record again."
)
@click.option("--bench", type=EXISTING, help="Bench file for --expect and --into.")
@click.option("--results", type=EXISTING, default=Path("results"), show_default=True, help="Folder for their results.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, nothing else.")
def replay(logs: tuple[Path, ...], **chosen: Any) -> None:
    """Play CAN logs: in their own time or another, changed or not, onto a bus, into a file, or against expectations.

    Several logs are a playlist. Nothing is dropped silently: the report accounts for every frame.
    """
    from hil.cli.replay_check import check_all
    from hil.cli.replay_judge import judge, wants_judging
    from hil.cli.replay_run import run

    check_all(logs, chosen)
    sys.exit(int(judge(logs, chosen) if wants_judging(logs, chosen) else run(logs, chosen)))
