"""Every operator on small pieces of code: exactly these mutants, and none where it says so."""

import pytest

from hil.campaign.mutate.operators import OPERATORS
from hil.campaign.mutate.sites import check, mutants_of


def changes(source: str, operator: str) -> list[str]:
    """What one operator makes of a source, as ``original -> mutated``."""
    made = [m for m in mutants_of("m", source) if m.operator == operator]
    for mutant in made:
        check(mutant, source)
    return [f"{m.original} -> {m.mutated}" for m in made]


def of_function(body: str, operator: str, head: str = "def f(x, y, s):") -> list[str]:
    """The same of the body of a function."""
    return changes(head + "\n" + "".join(f"    {line}\n" for line in body.splitlines()), operator)


EXPRESSIONS: list[tuple[str, str, list[str]]] = [
    ("arithmetic", "x + y", ["x + y -> x - y"]),
    ("arithmetic", "x - y", ["x - y -> x + y"]),
    ("arithmetic", "x * y", ["x * y -> x / y"]),
    ("arithmetic", "x / y", ["x / y -> x * y"]),
    ("arithmetic", "x ** y", ["x ** y -> x * y"]),
    ("arithmetic", "x // y", ["x // y -> x * y"]),
    ("arithmetic", "x % y", ["x % y -> x * y"]),
    ("arithmetic", "x @ y", ["x @ y -> x * y"]),
    ("arithmetic", "x << y", ["x << y -> x >> y"]),
    ("arithmetic", "x >> y", ["x >> y -> x << y"]),
    ("arithmetic", "x & y", ["x & y -> x | y"]),
    ("arithmetic", "x | y", ["x | y -> x & y"]),
    ("arithmetic", "x ^ y", ["x ^ y -> x | y"]),
    ("arithmetic", "x + y * s", ["x + y * s -> x - y * s", "y * s -> (y / s)"]),
    ("arithmetic", "x * y + s", ["x * y -> (x / y)", "x * y + s -> x * y - s"]),
    ("arithmetic", "g(x + y, [x * y])", ["x + y -> x - y", "x * y -> x / y"]),
    ("arithmetic", "'a' + x", []),
    ("arithmetic", "f'{x}' + y", []),
    ("arithmetic", "f'{x + y}'", []),
    ("sign", "-x", ["-x -> x"]),
    ("sign", "~x", ["~x -> x"]),
    ("sign", "y ** -x", ["-x -> x"]),
    ("sign", "-(x + y) * s", ["-(x + y) -> (x + y)"]),
    ("sign", "+x", []),
    ("boundary", "x < y", ["x < y -> x <= y"]),
    ("boundary", "x <= y", ["x <= y -> x < y"]),
    ("boundary", "x > y", ["x > y -> x >= y"]),
    ("boundary", "x >= y", ["x >= y -> x > y"]),
    ("boundary", "x < y <= s", ["x < y <= s -> x <= y <= s", "x < y <= s -> x < y < s"]),
    ("boundary", "x == y", []),
    ("negation", "x < y", ["x < y -> x >= y"]),
    ("negation", "x <= y", ["x <= y -> x > y"]),
    ("negation", "x > y", ["x > y -> x <= y"]),
    ("negation", "x >= y", ["x >= y -> x < y"]),
    ("negation", "x == y", ["x == y -> x != y"]),
    ("negation", "x != y", ["x != y -> x == y"]),
    ("negation", "x is y", ["x is y -> x is not y"]),
    ("negation", "x is not y", ["x is not y -> x is y"]),
    ("negation", "x in y", ["x in y -> x not in y"]),
    ("negation", "x not in y", ["x not in y -> x in y"]),
    ("logic", "x and y", ["x and y -> x or y"]),
    ("logic", "x or y", ["x or y -> x and y"]),
    ("logic", "not x", ["not x -> x"]),
    ("logic", "x or y and s", ["x or y and s -> x and (y and s)", "y and s -> (y or s)"]),
    ("constant", "0", ["0 -> 1", "0 -> -1"]),
    ("constant", "7", ["7 -> 8", "7 -> 6"]),
    ("constant", "x - 0", ["0 -> 1", "0 -> (-1)"]),
    ("constant", "x + 2.5", ["2.5 -> 5.0", "2.5 -> 0.0"]),
    ("constant", "2.5", ["2.5 -> 5.0"]),  # its zero is that of return_zero
    ("constant", "0.0", ["0.0 -> 1.0"]),
    ("constant", "True", ["True -> False"]),
    ("constant", "g('text', None, ...)", []),
    ("other_call", "min(x, y)", ["min -> max"]),
    ("other_call", "max(x, y)", ["max -> min"]),
    ("other_call", "np.minimum(x, y)", ["np.minimum -> np.maximum"]),
    ("other_call", "math.floor(x)", ["math.floor -> math.ceil"]),
    ("other_call", "math.sin(x)", ["math.sin -> math.cos"]),
    ("other_call", "any(x)", ["any -> all"]),
    ("other_call", "x.max()", ["x.max -> x.min"]),
    ("other_call", "other(x)", []),
    ("drop_call", "abs(x)", ["abs(x) -> x"]),
    ("drop_call", "y * math.exp(-x / s)", ["math.exp(-x / s) -> (-x / s)"]),
    ("drop_call", "int(x)", ["int(x) -> x"]),
    ("drop_call", "float(x)", []),
    ("drop_call", "math.log(x, 2)", []),
    ("drop_call", "round(x, ndigits=1)", []),
    ("drop_call", "abs(*x)", []),
    ("index", "x[y]", ["y -> y + 1", "y -> y - 1"]),
    ("index", "x[y, s]", ["y -> y + 1", "y -> y - 1", "s -> s + 1", "s -> s - 1"]),
    ("index", "x[y:s]", ["y -> y + 1", "y -> y - 1", "s -> s + 1", "s -> s - 1"]),
    ("index", "x[0], x[-1], x['a'], x[:], x[y + 1], list[int]", []),
    ("branch", "x if y else s", ["y -> True", "y -> False"]),
]


@pytest.mark.parametrize(("operator", "expression", "wanted"), EXPRESSIONS)
def test_an_operator_makes_these_of_an_expression(operator: str, expression: str, wanted: list[str]) -> None:
    assert of_function(f"return {expression}", operator) == wanted


STATEMENTS: list[tuple[str, str, list[str]]] = [
    ("arithmetic", "x += y", ["x += y -> x -= y"]),
    ("arithmetic", "s.a[y] *= x", ["s.a[y] *= x -> s.a[y] /= x"]),
    ("return_zero", "return x", ["x -> 0.0"]),
    ("return_zero", "return x, y", ["x, y -> (0.0, 0.0)"]),
    ("return_zero", "return x < y", ["x < y -> False"]),
    ("return_zero", "return 0.0", []),
    ("return_zero", "return None", []),
    ("return_zero", "return", []),
    ("delete", "s.a = x", ["s.a = x -> pass"]),
    ("delete", "s.a[x] = y", ["s.a[x] = y -> pass"]),
    ("delete", "x = y", ["x = y -> pass"]),
    ("delete", "a = y", []),
    ("delete", "a = y\na = x", ["a = x -> pass"]),
    ("delete", "a, x = x, y", []),
    ("delete", "x, s.a = y, y", ["x, s.a = y, y -> pass"]),
    ("delete", "x += y", ["x += y -> pass"]),
    ("delete", "x: int = 3", ["x: int = 3 -> pass"]),
    ("delete", "a: int", []),
    ("delete", "g(x)", ["g(x) -> pass"]),
    ("delete", "'a text'", []),
    ("delete", "if x: s.a = y; s.b = y", ["s.a = y -> pass", "s.b = y -> pass"]),
    ("loop_exit", "for a in x:\n    break", ["break -> continue"]),
    ("loop_exit", "for a in x:\n    continue", ["continue -> break"]),
    ("branch", "if x:\n    pass\nelif y:\n    pass", ["x -> True", "x -> False", "y -> True", "y -> False"]),
    ("branch", "while x:\n    pass", ["x -> False"]),
    ("branch", "while True:\n    pass", []),
    ("index", "x[y] = s", ["y -> y + 1", "y -> y - 1"]),
    ("boundary", "assert x < y", []),
    ("constant", "raise ValueError(3)", []),
    ("constant", "x: Annotated[int, 4] = y", []),
]


@pytest.mark.parametrize(("operator", "body", "wanted"), STATEMENTS)
def test_an_operator_makes_these_of_a_statement(operator: str, body: str, wanted: list[str]) -> None:
    assert of_function(body, operator) == wanted


@pytest.mark.parametrize(
    ("annotation", "zero"),
    [("bool", "False"), ("int", "0"), ("str", "''"), ("float", "0.0"), ("Table", "None"), ("'int'", "None")],
)
def test_what_is_returned_instead_follows_the_annotation(annotation: str, zero: str) -> None:
    assert of_function("return g(x)", "return_zero", f"def f(x) -> {annotation}:") == [f"g(x) -> {zero}"]


def test_a_word_does_not_run_into_what_takes_its_place() -> None:
    assert of_function("return-x", "sign") == ["-x ->  x"]
    assert of_function("return s if(x)else y", "branch") == ["x -> True", "x -> False"]
    assert of_function("return(x)if-x else 0", "sign") == ["-x ->  x"]
    assert of_function("return(x)if~(x)else 0", "sign") == ["~(x) ->  x "]


def test_annotations_decorators_imports_and_what_is_not_run_are_left_alone() -> None:
    source = (
        "from typing import TYPE_CHECKING\nfrom os import path\n"
        "if TYPE_CHECKING:\n    A = 1\n"
        "class C:\n    x: Annotated[int, 3]\n"
        "@cache(4)\ndef f(x: 'a[1]', y: a[2]) -> a[3]: ...\n"
        "if __name__ == '__main__':\n    f(1)\n"
    )
    assert mutants_of("m", source) == ()


def test_constants_of_modules_classes_and_defaults_are_mutated() -> None:
    source = "A = 1.5\nclass C:\n    B = 2.5\ndef f(x=3.5): ...\n"
    assert changes(source, "constant") == [
        "1.5 -> 3.0", "1.5 -> 0.0", "2.5 -> 5.0", "2.5 -> 0.0", "3.5 -> 7.0", "3.5 -> 0.0",
    ]  # fmt: skip
    assert [m.function for m in mutants_of("m", source)] == ["<module>"] * 2 + ["C"] * 2 + ["<module>"] * 2
    assert {m.statement for m in mutants_of("m", source)} == {0}


def test_every_operator_has_examples_above_and_a_meaning() -> None:
    shown = {case[0] for case in (*EXPRESSIONS, *STATEMENTS) if case[2]}
    assert shown == {o.name for o in OPERATORS}
    assert all(len(o.meaning) > 10 for o in OPERATORS)


def test_an_id_tells_the_place_and_is_unique_where_two_nodes_begin_at_one_place() -> None:
    source = "class C:\n    def f(self, x):\n        def g(y):\n            return x + y + 1\n        return g\n"
    made = [m for m in mutants_of("pkg.m", source) if m.operator == "arithmetic"]
    assert [m.id for m in made] == ["pkg.m:C.f.g:4:20:arithmetic:1", "pkg.m:C.f.g:4:20:arithmetic:0"]
    assert [m.original for m in made] == ["x + y", "x + y + 1"]
    assert {(m.statement, m.text) for m in made} == {(4, "return x + y + 1")}


def test_a_diff_shows_one_place_and_keeps_the_rest_of_the_text() -> None:
    source = "def f(x):  # why\n    return (  # of °C\n        x +  # first\n        1\n    )\n"
    (mutant,) = (m for m in mutants_of("pkg.m", source) if m.operator == "arithmetic")
    assert mutant.diff(source) == (
        "--- a/pkg/m.py\n+++ b/pkg/m.py\n@@ -3,2 +3 @@\n-        x +  # first\n-        1\n+        x - 1"
    )
