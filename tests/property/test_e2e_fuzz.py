"""Any e2e file: loaded into protections that check their own frames, or refused with places; nothing else."""

import json
from pathlib import Path

from e2e_rig import config, database, frame, message
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hil.codec import e2e
from hil.codec.e2e.file import E2eFile, Profile, Protected, load_e2e
from hil.codec.e2e.plan import Protection
from hil.codec.e2e.profiles import BUILT_IN, DATA_ID_MODES
from hil.codec.nouns import Database
from hil.errors import InputError, Problem
from hil.kernel import zeros

NUMBER = st.integers(0, 15) | st.integers(0, 255) | st.integers(-1, 2**65)
PLACE = st.fixed_dictionaries(
    {},
    optional={
        "byte": st.integers(-1, 64),
        "start": st.integers(-1, 512),
        "length": st.integers(0, 65),
        "big_endian": st.booleans(),
    },
)
ANY = st.none() | st.booleans() | NUMBER | st.floats() | st.text(max_size=4) | st.lists(NUMBER, max_size=17) | PLACE
VALUES = {
    "base": st.sampled_from([*BUILT_IN, "own", "x"]),
    "profile": st.sampled_from([*BUILT_IN, "own", "x"]),
    "algorithm": st.sampled_from(["crc", "sum", "nibble-sum", "xor", "none"]),
    "data_id_mode": st.sampled_from(list(DATA_ID_MODES)),
    "data_ids": st.lists(st.integers(0, 255), min_size=16, max_size=16),
    "crc": PLACE,
    "counter": PLACE,
    "covers": st.tuples(st.integers(0, 63), st.integers(1, 64)).map(list),
    "reflected": st.booleans(),
    "negative": st.booleans(),
    "timeout": st.sampled_from(["0 s", "50 ms", "1 V", ""]),
}


def keys(model: type) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={k: VALUES.get(k, NUMBER) | ANY for k in model.model_fields})


def likely(model: type) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={k: VALUES.get(k, st.integers(0, 64)) for k in model.model_fields})


GOOD = st.fixed_dictionaries(
    {"profile": st.sampled_from([*BUILT_IN])},
    optional={
        "data_id": st.integers(0, 255),
        "data_ids": VALUES["data_ids"],
        "crc": st.fixed_dictionaries({"byte": st.integers(0, 8)}),
        "counter": st.fixed_dictionaries({"start": st.integers(0, 63)}, optional={"length": st.integers(1, 9)}),
        "offset": st.integers(0, 9),
        "covers": st.tuples(st.integers(0, 4), st.integers(4, 8)).map(list),
        "any_length": st.booleans(),
        "init": st.integers(0, 300),
    },
)
FILES = st.fixed_dictionaries(
    {
        "profiles": st.dictionaries(
            st.sampled_from(["own", "x", "tesla"]), keys(Profile) | likely(Profile), max_size=2
        ),
        "messages": st.dictionaries(
            st.sampled_from(["Short", "Long", "Other"]), GOOD | keys(Protected) | likely(Protected), max_size=3
        ),
    }
)


def read(path: Path, bus: Database) -> tuple[tuple[Protection, ...], tuple[Problem, ...]]:
    try:
        return load_e2e(path, bus).lines(), ()
    except InputError as error:
        return (), error.problems


def hold(content: object, counter: int, folder: Path) -> None:
    path = folder / "fuzz.e2e.yaml"
    path.write_text(json.dumps(content))
    bus = database(message(0x123, 8, "Short"), message(0x1ABCDE, 64, "Long", extended=True))
    made, problems = read(path, bus)
    assert all(str(problem).startswith(str(path)) for problem in problems)
    event(f"loaded: {bool(made)}")
    for one in made:
        cfg = config(one)
        sent = frame(bytes(range(one.length)), one.id, one.extended)
        value = counter % (one.counter_max + 1)
        e2e.protect(sent, cfg, value)
        assert e2e.check(sent, cfg, zeros(e2e.E2eState)[0]) == e2e.E2eStatus.OK
        assert e2e.counter_of(sent, cfg) == (value if one.counter_length else 0)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(FILES, st.integers(0, 2**32))
def test_any_file_is_loaded_whole_or_refused_with_places(tmp_path_factory, content, counter):
    hold(content, counter, tmp_path_factory.getbasetemp())


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(GOOD, st.sampled_from(["Short", "Long"]), st.integers(0, 2**32))
def test_whatever_is_loaded_checks_its_own_frames(tmp_path_factory, content, name, counter):
    hold({"messages": {name: content}}, counter, tmp_path_factory.getbasetemp())


def test_the_fuzzed_keys_are_all_there_are():
    assert set(E2eFile.model_fields) == {"profiles", "messages"}
    assert set(VALUES) <= set(Profile.model_fields) | set(Protected.model_fields)
