"""A record whose checksums are right and whose contents are wrong: every user of records answers or refuses with a typed error.

Checksums keep accidents out; what comes through them is a record of another version, or one that somebody made.
"""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import ROOT, written

from hil.analysis.export import columns
from hil.analysis.show import summary
from hil.campaign.judge import judge_record
from hil.campaign.replaying import replay_record
from hil.campaign.run import Options, Outcome, Screen, run_all
from hil.errors import CellbenchError, InputError
from hil.records.layout import CHECKS, EVENTS, FRAME, FRAMES, HEADER, INPUTS, ROWS, SCHEMAS, VERDICTS, WORDS
from hil.records.reader import read
from hil.records.recover import recover
from hil.records.scan import Scan, scan
from hil.records.writer import start_file
from hil.replay.samples import load_signals
from hil.replay.source import load_source

CURRENT = "always: measured.pack_current < 90 A"
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    2**31,
    2**63,
    10**30,
    1e300,
    math.nan,
    "",
    "x",
    "../../../x",
    "/x",
    "\0",
    [],
    {},
]
ODD += [["x"], {"x": "x"}, [[[]]]]
RAW = [b"", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"null", b"[]", b"{}", b'"x"', b"[null]"]
JSON_FILES = ("quantities.json", "case.json", "files.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run's record; rows are thinned, so that its readings stand apart."""
    folder = tmp_path_factory.mktemp("run")
    scenario = written(folder, CURRENT, change=("steps:\n", "record: {every: 10}\nsteps:\n"))
    run_all([scenario], Options(folder / "out"), Screen(quiet=True))
    return folder / "out" / "record.mcap"


def rewritten(
    found: Scan, out: Path, attachments: dict[str, bytes], change: Callable[[str, int, bytes], bytes]
) -> Path:
    """The record with other attachments and contents of messages, all checksums right."""
    with out.open("wb") as stream:
        writer, channels = start_file(stream, attachments, found.metadata)
        seen = dict.fromkeys(SCHEMAS, 0)
        for message in (m for group in found.groups for m in group):
            name = found.topics[message.channel_id]
            data = change(name, seen[name], message.data)
            seen[name] += 1
            writer.add_message(channels[name], message.log_time, data, message.publish_time)
        writer.finish()
    return out


def all_answer(path: Path) -> None:
    """Everything that takes a record, on this one."""
    out = path.with_name("recovered.mcap")
    uses: list[Callable[[], Any]] = [
        lambda: read(path).table.labels(),
        lambda: recover(path, out),
        lambda: load_source(path),
        lambda: load_signals(path, path, None),
        lambda: told(judge_record(path, ROOT / "scenarios" / "cell_overvoltage.yaml")),
        lambda: replay_record(path).lines(),
        lambda: summary(read(path)),
        lambda: columns(read(path)),
    ]
    for use in uses:
        with suppress(CellbenchError):
            use()


def told(outcome: Outcome) -> None:
    """All that is said of verdicts."""
    outcome.exit_code  # noqa: B018
    Screen(quiet=True).table(outcome)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values of a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(p for key, v in inner for p in places(v, (*at, key)))]


def changed(document: Any, at: tuple[Any, ...], to: Any, remove: bool) -> Any:
    """The document with one value changed or taken out."""
    if not at:
        return to
    copy = dict(document) if isinstance(document, dict) else list(document)
    if len(at) > 1:
        copy[at[0]] = changed(document[at[0]], at[1:], to, remove)
    elif remove:
        del copy[at[0]]
    else:
        copy[at[0]] = to
    return copy


LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.timeout(300)
@LAWS
@given(data=st.data())
def test_a_wrong_value_in_an_attachment_is_answered(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    found = scan(whole)
    name = data.draw(st.sampled_from(JSON_FILES))
    document = json.loads(found.attachments[name])
    some = document
    if name == "quantities.json" and data.draw(st.booleans()):  # its hundred lines are alike
        some = {**document, "quantities": document["quantities"][:3]}
    at = data.draw(st.sampled_from(places(some)))
    new = changed(document, at, data.draw(st.sampled_from(ODD)), data.draw(st.booleans()))
    content = data.draw(st.sampled_from(RAW)) if data.draw(st.integers(0, 9)) == 0 else json.dumps(new).encode()
    attachments = {**found.attachments, name: content}
    all_answer(rewritten(found, tmp_path / "x.mcap", attachments, lambda topic, nth, old: old))


@pytest.mark.timeout(300)
@LAWS
@given(st.sampled_from(sorted(SCHEMAS)), st.integers(0, 3), st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8))
def test_wrong_bytes_in_a_block_are_answered(
    whole: Path, tmp_path: Path, topic: str, nth: int, place: float, gone: int, piece: bytes
) -> None:
    def change(name: str, at: int, old: bytes) -> bytes:
        if (name, at) != (topic, nth):
            return old
        start = int(place**3 * len(old))  # headers are at the beginning
        return old[:start] + piece + old[start + gone :]

    found = scan(whole)
    all_answer(rewritten(found, tmp_path / "x.mcap", found.attachments, change))


def with_first(topic: str, make: Callable[[bytes], bytes]) -> Callable[[str, int, bytes], bytes]:
    return lambda name, at, old: make(old) if (name, at) == (topic, 0) else old


def long_frame(old: bytes) -> bytes:
    frames: Any = np.frombuffer(old, FRAME).copy()
    frames["dlc"][0] = 200
    return frames.tobytes()


def word(old: bytes, column: int, value: int) -> bytes:
    words: Any = np.frombuffer(old, "<i8", WORDS, HEADER.size).copy()
    words[column] = value
    return old[: HEADER.size] + words.tobytes() + old[HEADER.size + words.nbytes :]


def steps_of(old: bytes, step: float) -> bytes:
    """The first block of what came in, its readings in steps of another size."""
    ticks = HEADER.unpack_from(old)[1]
    at = HEADER.size + 8 * ticks * WORDS
    return old[:at] + np.float64(step).tobytes() + old[at + 8 :]


@pytest.mark.parametrize(
    ("topic", "make"),
    [
        (EVENTS, lambda old: b"[" * 100_000),
        (EVENTS, lambda old: b'{"t_ns": 1e300, "kind": "step", "text": ""}'),
        (VERDICTS, lambda old: b'[{"status": "PASS"}]'),
        (VERDICTS, lambda old: b"7"),
        (VERDICTS, lambda old: b'[{"id": "A-1"}]'),
        (VERDICTS, lambda old: b'[{"id": "wait-1", "status": "GOOD"}]'),
        (VERDICTS, lambda old: b'[{"id": "wait-1", "status": "PASS", "reason": null}]'),
        (VERDICTS, lambda old: b'[{"id": "wait-1", "status": "PASS", "time_s": "x"}]'),
        (VERDICTS, lambda old: b'[{"id": "wait-1", "status": "PASS", "margin": %s}]' % (b"9" * 400)),
        (INPUTS, partial(steps_of, step=0.0)),
        (INPUTS, partial(steps_of, step=-1e-4)),
        (INPUTS, partial(steps_of, step=math.nan)),
        (CHECKS, lambda old: old[:10]),
        (CHECKS, lambda old: HEADER.pack(0, 2**32 - 1, 2**32 - 1, 0, 0)),
        (ROWS, lambda old: HEADER.pack(0, 1, 1, 0, 0) + bytes(16)),
        (FRAMES, long_frame),
    ],
)
def test_a_block_of_another_layout_is_named(
    whole: Path, tmp_path: Path, topic: str, make: Callable[[bytes], bytes]
) -> None:
    found = scan(whole)
    path = rewritten(found, tmp_path / "x.mcap", found.attachments, with_first(topic, make))
    with pytest.raises(InputError, match=r"x\.mcap: a record of another layout"):
        read(path)
    all_answer(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:-1],
        lambda lines: [],
        lambda lines: [*lines[:-1], {**lines[-1], "start": 0}],
        lambda lines: [lines[0], {**lines[1], "name": lines[0]["name"]}, *lines[2:]],
        lambda lines: [*lines[:-1], {**lines[-1], "record": True}],
        lambda lines: [{**lines[0], "record": False}, *lines[1:]],
        lambda lines: [{**lines[0], "record": 1}, *lines[1:]],
    ],
)
def test_a_table_whose_quantities_do_not_fill_its_columns_is_named(
    whole: Path, tmp_path: Path, change: Callable[[list[Any]], list[Any]]
) -> None:
    found = scan(whole)
    table = json.loads(found.attachments["quantities.json"])
    table["quantities"] = change(table["quantities"])
    attachments = {**found.attachments, "quantities.json": json.dumps(table).encode()}
    path = rewritten(found, tmp_path / "x.mcap", attachments, lambda topic, nth, old: old)
    with pytest.raises(InputError, match=r"x\.mcap: a record of another layout"):
        read(path)
    all_answer(path)


@pytest.mark.parametrize(("column", "value"), [(3, -1), (3, 10_000), (4, -1), (4, 33), (5, 2**40)])
def test_a_tick_that_counts_what_no_tick_holds_is_refused(whole: Path, tmp_path: Path, column: int, value: int) -> None:
    found = scan(whole)
    make = partial(word, column=column, value=value)
    path = rewritten(found, tmp_path / "x.mcap", found.attachments, with_first(INPUTS, make))
    with pytest.raises(InputError, match="more in a tick than a tick holds"):
        replay_record(path)


@pytest.mark.parametrize("missing", ["case.json", "limits.yaml", "bench.yaml"])
def test_a_record_that_does_not_hold_what_judging_needs_says_what_and_why(
    whole: Path, tmp_path: Path, missing: str
) -> None:
    found = scan(whole)
    kept = {name: content for name, content in found.attachments.items() if name != missing}
    path = rewritten(found, tmp_path / "old.mcap", kept, lambda topic, nth, old: old)
    with pytest.raises(InputError, match=rf"old\.mcap: the record cannot be judged again.*version.*{missing}"):
        judge_record(path, ROOT / "scenarios" / "cell_overvoltage.yaml")


@pytest.mark.parametrize("missing", ["files.json", "bench.yaml", "bench.dbc", "scenario.yaml", "case.json"])
def test_a_record_that_does_not_hold_what_a_run_needs_says_what_and_why(
    whole: Path, tmp_path: Path, missing: str
) -> None:
    found = scan(whole)
    kept = {name: content for name, content in found.attachments.items() if name != missing}
    path = rewritten(found, tmp_path / "old.mcap", kept, lambda topic, nth, old: old)
    with pytest.raises(InputError, match=rf"old\.mcap: the record cannot be run again.*version.*{missing}"):
        replay_record(path)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("scenario.yaml", {"name": "../../../../../../../../../../../../../../escaped.yaml"}),
        ("scenario.yaml", {"name": "{folder}/escaped.yaml"}),
        ("scenario.yaml", {"refers": {"a": "scenario.yaml"}}),
        ("scenario.yaml", {"encoding": "no such"}),
        ("scenario.yaml", {"refers": {"\0": "limits.yaml"}}),
        ("bench.yaml", {"name": "b" * 5000}),
    ],
)
def test_files_of_a_record_are_put_nowhere_but_into_its_own_folder(
    whole: Path, tmp_path: Path, part: str, change: dict[str, Any]
) -> None:
    found = scan(whole)
    index = json.loads(found.attachments["files.json"])
    index[part] |= {k: v.format(folder=tmp_path) if isinstance(v, str) else v for k, v in change.items()}
    attachments = {**found.attachments, "files.json": json.dumps(index).encode()}
    path = rewritten(found, tmp_path / "x.mcap", attachments, lambda topic, nth, old: old)
    with pytest.raises(InputError, match=r"x\.mcap: the record cannot be run again"):
        replay_record(path)
    assert not (tmp_path / "escaped.yaml").exists()
