"""The language of conditions: text to a tree. What names and units mean is decided in ``lower``.

    or     := and ("or" and)*              and  := not ("and" not)*         not := "not" not | compare
    compare:= sum [("<"|"<="|">"|">="|"=="|"!=") sum]
    sum    := product (("+"|"-") product)*  product := unary (("*"|"/") unary)*  unary := "-" unary | primary
    primary:= number [unit] | $parameter | name ["[" index "]"] | function "(" args ")" | "(" or ")"
    index  := integer | $parameter | "all" | "each"

A unit follows its number directly or after spaces and has no spaces inside: ``50 mV``, ``5 %``, ``2 degC/min``.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from hil.checks.spec import Source
from hil.errors import nearest

FUNCTIONS = ("abs", "min", "max", "any", "all")
RELATIONS = ("<=", ">=", "==", "!=", "<", ">")
_KEYWORDS = ("and", "or", "not")
_MAX_CHARS = 2000
_MAX_DEPTH = 40
_MAX_TOKENS = 300  # a chain of operators is a tree as deep as it is long

_UNIT = r"(?:%|[A-Za-zµμΩ\u2126°]+)(?:\^-?[1-4])?"
_TOKEN = re.compile(
    rf"""(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{{1,3}}(?![\w.]))?
           (?:\s*(?P<unit>(?!(?:and|or|not)\b){_UNIT}(?![\w.\[(])(?:[*/]{_UNIT}(?![\w.\[(]))*))?)
      |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      |(?P<parameter>\$[A-Za-z_]\w*)
      |(?P<sign><=|>=|==|!=|[-+*/<>()\[\],])
      |(?P<space>\s+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A literal as written; ``unit`` is empty for a plain number. ``at`` counts characters from 0, here and below."""

    at: int
    digits: str
    unit: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """``$cell``: a parameter of the case, by its name without the sign."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """A quantity, a limit or a label; ``index`` is what stood in brackets, empty without brackets."""

    at: int
    text: str
    index: str = ""
    index_at: int = 0


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x`` or ``not x``."""

    at: int
    op: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """``x op y``; ``at`` is the operator's place."""

    at: int
    op: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """``function(x, ...)``."""

    at: int
    function: str
    args: "tuple[Node, ...]"


Node = Number | Parameter | Name | Unary | Binary | Call


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    unit: str = ""


def parse(source: Source) -> Node:
    """The tree of one condition or value.

    Raises:
        InputError: with the place, what was expected and what was found.
    """
    if not source.text.strip():
        raise source.problem(0, "the expression is empty", expected="a condition such as 'measured.pack_current < 1 A'")
    if len(source.text) > _MAX_CHARS:
        raise source.problem(
            0, "the expression is too long", expected=f"at most {_MAX_CHARS} characters", found=str(len(source.text))
        )
    return _Parser(source).whole()


def split_while(text: str) -> tuple[str, str, int]:
    """``X while Y`` as (X, Y, where Y starts); Y is empty when there is no ``while``."""
    match = re.search(r"\bwhile\b", text)
    if match is None:
        return text, "", 0
    rest = text[match.end() :]
    return text[: match.start()], rest.strip(), match.end() + len(rest) - len(rest.lstrip())


def _tokens(source: Source) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(source.text):
        match = _TOKEN.match(source.text, at)
        if match is None:
            raise source.problem(
                at,
                "cannot read the expression",
                expected="a name, number, operator or bracket",
                found=repr(source.text[at]),
                close="==" if source.text[at] == "=" else None,
            )
        kind = str(match.lastgroup if match.lastgroup != "unit" else "number")
        if kind != "space":
            unit = match["unit"] or ""
            shown = match[kind][: len(match[kind]) - len(unit)].rstrip() if unit else match[kind]
            word = kind == "name" and match[kind] in _KEYWORDS
            out.append(_Token("sign" if word else kind, shown, at, unit))
        at = match.end()
    out.append(_Token("end", "the end", len(source.text)))
    return out


class _Parser:
    """Precedence climbing over the tokens; ``depth`` bounds nesting."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = _tokens(source)
        self.next = 0
        self.depth = 0

    def whole(self) -> Node:
        """The one expression the text holds."""
        if len(self.tokens) > _MAX_TOKENS:
            at = self.tokens[_MAX_TOKENS].at
            raise self.source.problem(
                at, "the expression is too long", expected=f"at most {_MAX_TOKENS} words and signs"
            )
        node = self._or()
        left = self.tokens[self.next]
        if left.kind == "end":
            return node
        if left.text in RELATIONS:
            raise self.source.problem(
                left.at, "comparisons do not chain", expected="'a < b and b < c'", found=repr(left.text)
            )
        raise self.source.problem(
            left.at,
            "the expression should end here",
            expected="an operator or the end",
            found=repr(left.text),
            close=nearest(left.text, _KEYWORDS),
        )

    def _take(self, *signs: str) -> _Token | None:
        token = self.tokens[self.next]
        if token.kind == "sign" and token.text in signs:
            self.next += 1
            return token
        return None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            token = self.tokens[self.next]
            raise self.source.problem(token.at, "cannot read the expression", expected=repr(sign), found=_shown(token))

    def _or(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.source.problem(
                self.tokens[self.next].at,
                "the expression is nested too deeply",
                expected=f"at most {_MAX_DEPTH} levels",
            )
        node = self._and()
        while token := self._take("or"):
            node = Binary(token.at, "or", node, self._and())
        self.depth -= 1
        return node

    def _and(self) -> Node:
        node = self._not()
        while token := self._take("and"):
            node = Binary(token.at, "and", node, self._not())
        return node

    def _not(self) -> Node:
        token = self._take("not")
        return self._compare() if token is None else Unary(token.at, "not", self._deeper(token, self._not))

    def _compare(self) -> Node:
        node = self._sum()
        token = self._take(*RELATIONS)
        return node if token is None else Binary(token.at, token.text, node, self._sum())

    def _sum(self) -> Node:
        node = self._product()
        while token := self._take("+", "-"):
            node = Binary(token.at, token.text, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._unary()
        while token := self._take("*", "/"):
            node = Binary(token.at, token.text, node, self._unary())
        return node

    def _unary(self) -> Node:
        token = self._take("-")
        return self._primary() if token is None else Unary(token.at, "-", self._deeper(token, self._unary))

    def _deeper(self, token: _Token, rule: "object") -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.source.problem(
                token.at, "the expression is nested too deeply", expected=f"at most {_MAX_DEPTH} levels"
            )
        node: Node = rule()  # type: ignore[operator]  # one of this parser's own rules
        self.depth -= 1
        return node

    def _primary(self) -> Node:
        token = self.tokens[self.next]
        self.next += 1
        if token.kind == "number":
            return Number(token.at, token.text, token.unit)
        if token.kind == "parameter":
            return Parameter(token.at, token.text[1:])
        if token.kind == "name":
            return self._named(token)
        if token.kind == "sign" and token.text == "(":
            node = self._or()
            self._expect(")")
            return node
        self.next -= 1
        raise self.source.problem(token.at, "cannot read the expression", expected="a value", found=_shown(token))

    def _named(self, token: _Token) -> Node:
        if self._take("("):
            if token.text not in FUNCTIONS:
                raise self.source.problem(
                    token.at,
                    "unknown function",
                    expected="one of " + ", ".join(FUNCTIONS),
                    found=repr(token.text),
                    close=nearest(token.text, FUNCTIONS),
                )
            args = [self._or()]
            while self._take(","):
                args.append(self._or())
            self._expect(")")
            return Call(token.at, token.text, tuple(args))
        if not self._take("["):
            return Name(token.at, token.text)
        index = self.tokens[self.next]
        plain = index.kind == "number" and index.text.isdigit() and not index.unit
        if not (plain or index.kind == "parameter" or index.text in ("all", "each")):
            raise self.source.problem(
                index.at,
                "cannot read the index",
                expected="a whole number from 0, $parameter, all or each",
                found=_shown(index),
            )
        self.next += 1
        self._expect("]")
        return Name(token.at, token.text, index.text, index.at)


def _shown(token: _Token) -> str:
    return token.text if token.kind == "end" else repr(f"{token.text} {token.unit}".strip())
