"""Laws of mutants on code that hypothesis writes, and on the project's own."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hil.campaign.mutate.nouns import Mutant
from hil.campaign.mutate.sampling import sample, wilson
from hil.campaign.mutate.sites import check, mutants_of

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "hil").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])

names = st.sampled_from(["x", "y", "s.a", "µ", "s.a[x]"])
numbers = st.sampled_from(["0", "1", "12", "0.0", "1.5", "1e300", "True", "None", "'t'", "f'{x + 1}'"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from("+ - * / ** // % << & | ^ < <= > >= == != and or in is".split())
    return st.one_of(
        st.builds("({} {} {})".format, inner, operator, inner),
        st.builds("{} {} {}".format, inner, st.sampled_from("+ - * and or <".split()), inner),
        st.builds("({}{})".format, st.sampled_from(["-", "~", "not "]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "g", "math.floor"]), inner, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "math.exp", "g"]), inner),
        st.builds("x[{}, {}:{}]".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{} for y in {} if {}]".format, inner, names, inner),
        st.builds("(\n        {}  # ° of\n        , {})".format, inner, inner),
        st.builds("(lambda y: {})".format, inner),
    )


expressions = st.recursive(names | numbers, larger, max_leaves=8)
statements = st.one_of(
    st.builds("    {} {} {}".format, names, st.sampled_from(["=", "+=", "*="]), expressions),
    st.builds("    return {}".format, expressions),
    st.builds("    if {}: {} = {}; g()".format, expressions, names, expressions),
    st.builds("    while {}:\n        break".format, expressions),
    st.builds("    for z in {}:\n        continue".format, expressions),
)
functions = st.lists(statements, min_size=1, max_size=4).map(lambda body: "def f(x, s):\n" + "\n".join(body) + "\n")


@given(source=functions)
def test_every_mutant_differs_in_its_own_node_alone(source: str) -> None:
    for mutant in mutants_of("m", source):
        check(mutant, source)


@given(source=functions)
def test_every_mutant_can_be_taken_back_and_no_two_are_the_same(source: str) -> None:
    made = mutants_of("m", source)
    assert len({m.id for m in made}) == len(made)
    assert len({m.applied(source) for m in made}) == len(made)
    for m in made:
        content = m.applied(source).encode()
        end = m.start + len(m.mutated.encode())
        assert content[m.start : end].decode() == m.mutated
        assert (content[: m.start] + m.original.encode() + content[end:]).decode() == source


@settings(max_examples=40)  # the modules are large
@given(st.data())
def test_the_laws_hold_on_the_code_of_the_project(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SOURCES))
    source = path.read_text("utf-8")
    made = mutants_of("m", source)
    assert len({m.id for m in made}) == len(made)
    if made:
        check(data.draw(st.sampled_from(made)), source)


def mutants(count: int) -> list[Mutant]:
    kinds = ("a", "b", "c")
    return [
        Mutant("m", f"f{k % 7}", k, 1, kinds[k % 5 % 3], 0, "1", "2", k, k + 1, k, "") for k in range(count)
    ]  # fmt: skip


@given(st.integers(1, 400), st.integers(1, 400), st.integers())
def test_a_sample_is_a_part_in_order_with_every_stratum_in_its_share(count: int, wanted: int, seed: int) -> None:
    everything = mutants(count)
    drawn = sample(everything, wanted, seed)
    assert len(drawn) == min(count, wanted)
    assert [m for m in everything if m in set(drawn)] == list(drawn)
    assert sample(everything, wanted, seed) == drawn
    for stratum in {(m.function, m.operator) for m in everything}:
        size = sum((m.function, m.operator) == stratum for m in everything)
        inside = sum((m.function, m.operator) == stratum for m in drawn)
        assert abs(inside - size * len(drawn) / count) < 1.0 + 1e-9


def test_other_seeds_draw_other_samples_and_each_mutant_comes_up_as_often() -> None:
    everything = mutants(60)
    times = dict.fromkeys(everything, 0)
    for seed in range(600):
        for mutant in sample(everything, 15, seed):
            times[mutant] += 1
    # 150 times each; the standard deviation of 600 draws of a quarter is 10.6
    assert all(abs(n - 150) < 5 * 10.6 for n in times.values())


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_solves_the_equation_it_comes_from(hits: int, of: int) -> None:
    hits = min(hits, of)
    low, high = wilson(hits, of)
    share = hits / of
    assert 0.0 <= low <= 100.0 * share + 1e-9
    assert 100.0 * share - 1e-9 <= high <= 100.0
    for edge in (low / 100.0, high / 100.0):  # the normal test of the edge just rejects the share
        if 0.0 < edge < 1.0:
            assert abs(abs(share - edge) - 1.959963984540054 * (edge * (1.0 - edge) / of) ** 0.5) < 1e-7
