"""CM_, VAL_, SIG_VALTYPE_, SG_MUL_VAL_ and BO_TX_BU_ statements read with tolerance."""

import re
from dataclasses import dataclass, field

from hil.codec.repair.index import Index
from hil.codec.repair.messages import MessageText, SignalText
from hil.codec.repair.names import NUMBER, clean_name, integer, quoted
from hil.codec.repair.scan import STRING, Notes, Statement

_CM = re.compile(
    r"CM_\s*(?:(?P<kind>BU_|EV_)\s+(?P<who>[^\s\"]+)|(?P<object>BO_|SG_)?\s*(?P<id>-?\d\w*)(?:\s+(?P<signal>[^\s\"]+))?)?"
    r"\s*\"(?P<text>.*)\"\s*",
    re.DOTALL,
)
_VAL = re.compile(r"VAL_\s+(-?\d\w*)\s+([^\s\"]+)(.*)", re.DOTALL)
_PAIR = re.compile(rf"({NUMBER}|0[xX][0-9a-fA-F]+)\s*({STRING})")
_VALTYPE = re.compile(r"SIG_VALTYPE_\s+(-?\d\w*)\s+([^\s:]+)\s*:?\s*(\d)\s*")
_MUL = re.compile(r"SG_MUL_VAL_\s+(-?\d\w*)\s+(\S+)\s+(\S+)\s*([-\d\s,]*)")
_TX = re.compile(r"BO_TX_BU_\s+(-?\d\w*)\s*:?\s*(.*)", re.DOTALL)


@dataclass(slots=True)
class Tables:
    """What is read here and not handed on as text: the ranges of SG_MUL_VAL_ and the named value tables."""

    index: Index
    notes: Notes
    value_tables: dict[str, str] = field(default_factory=dict)
    labelled: set[tuple[int, str]] = field(default_factory=set)  # by identifier, as the library looks them up
    ranges: list[tuple[Statement, MessageText, SignalText, str, tuple[tuple[int, int], ...]]] = field(
        default_factory=list
    )

    def comment(self, statement: Statement) -> str | None:
        """CM_ rewritten. A comment of a message with no word for it is one, and so is CM_ SG_ without a signal."""
        found = _CM.match(statement.text)
        if found is None:
            self._unread(statement, "a comment")
            return None
        raw = found["text"]
        if re.search(r'(?<!\\)"', raw):
            self.notes.add(statement.at, "a comment with quotes inside; kept", found=raw)
        text = quoted(re.sub(r'(?<!\\)"', r"\"", raw))
        if found["kind"]:
            return self._of_node(statement, found["kind"], found["who"], text)
        if not found["id"]:
            return f"CM_ {text};"
        if found["object"] == "SG_" and found["signal"]:
            pair = self.index.pair(found["id"], found["signal"], statement.at, "comment", self.notes)
            return f"CM_ SG_ {pair[0].id} {pair[1].name} {text};" if pair else None
        messages = self.index.find(found["id"], statement.at, "comment", self.notes)
        if messages and (found["object"] != "BO_" or found["signal"]):
            what = f"{messages[0].name}: a comment without a signal; taken as the message's"
            self.notes.add(statement.at, what, found=statement.text)
        return f"CM_ BO_ {messages[0].id} {text};" if messages else None

    def _of_node(self, statement: Statement, kind: str, who: str, text: str) -> str | None:
        if kind == "EV_":
            return None
        if clean_name(who) not in self.index.nodes:
            self.notes.add(statement.at, "comment of a node that does not exist; left out", found=who)
            return None
        return f"CM_ BU_ {clean_name(who)} {text};"

    def value_table(self, statement: Statement) -> None:
        """Keep a named table for the VAL_ statements that name it."""
        words = statement.text.split(None, 2)
        if len(words) == 3:
            self.value_tables[words[1]] = words[2]

    def labels(self, statement: Statement) -> str | None:
        """VAL_ rewritten, None for that of an environment variable, an unknown signal or one that cannot be read."""
        found = _VAL.match(statement.text)
        if found is None:
            if not re.match(r"VAL_\s+[A-Za-z_]", statement.text):  # that would be one of an environment variable
                self._unread(statement, "a value table")
            return None
        pair = self.index.pair(found[1], found[2], statement.at, "unused VAL_", self.notes)
        if pair is None:
            return None
        path = f"{pair[0].name}.{pair[1].name}"
        body = self.value_tables.get(found[3].strip(), found[3])
        good: dict[int, str] = {}
        for item in _PAIR.finditer(body):
            number = integer(item[1])
            if number is None:
                self.notes.add(statement.at, f"{path}: a value that is no whole number; left out", found=item[0])
                continue
            if good.get(number, item[2]) != item[2]:
                self.notes.add(
                    statement.at, f"{path}: the value {number} stands twice; its last text is taken", found=body
                )
            good[number] = item[2]
        rest = _PAIR.sub(" ", body).strip()
        if rest:
            self.notes.add(statement.at, f"{path}: part of the value table cannot be read; left out", found=rest)
        if not good:
            return None
        key = (pair[0].id, pair[1].name)
        if key in self.labelled:
            self.notes.add(statement.at, f"{path}: a second value table; the one before is left out", found=body)
        self.labelled.add(key)
        pairs = " ".join(f"{number} {quoted(text)}" for number, text in good.items())
        return f"VAL_ {pair[0].id} {pair[1].name} {pairs};"

    def value_type(self, statement: Statement) -> str | None:
        """SIG_VALTYPE_ rewritten; a float of a length that no float has is taken as a whole number."""
        found = _VALTYPE.match(statement.text)
        if found is None:
            self._unread(statement, "a signal type")
            return None
        pair = self.index.pair(found[1], found[2], statement.at, "SIG_VALTYPE_", self.notes)
        if pair is None or found[3] not in "12":
            return None
        message, signal = pair
        if signal.length not in (16, 32, 64):
            what = f"{message.name}.{signal.name}: no float has that many bits; taken as a whole number"
            self.notes.add(statement.at, what, "16, 32 or 64", str(signal.length))
            return None
        return f"SIG_VALTYPE_ {message.id} {signal.name} : {found[3]};"

    def mux_values(self, statement: Statement) -> None:
        """Keep the ranges of SG_MUL_VAL_ as ranges: the library would write out every number of them."""
        found = _MUL.match(statement.text)
        ranges = _ranges(found[4]) if found else ()
        if found is None or not ranges:
            self._unread(statement, "a multiplexer range")
            return
        pair = self.index.pair(found[1], found[2], statement.at, "SG_MUL_VAL_", self.notes)
        if pair is not None:
            self.ranges.append((statement, *pair, found[3], ranges))

    def senders(self, statement: Statement) -> str | None:
        """BO_TX_BU_ rewritten."""
        found = _TX.match(statement.text)
        if found is None:
            self._unread(statement, "a list of senders")
            return None
        messages = self.index.find(found[1], statement.at, "BO_TX_BU_", self.notes)
        names = [clean_name(name) for name in re.split(r"[\s,]+", found[2]) if name]
        return f"BO_TX_BU_ {messages[0].id} : {','.join(names)};" if messages and names else None

    def _unread(self, statement: Statement, what: str) -> None:
        self.notes.add(statement.at, f"{what} that cannot be read; left out", found=statement.text)


def _ranges(text: str) -> tuple[tuple[int, int], ...]:
    """``0-3, 7-7`` (``5`` and ``7-3`` too) as merged inclusive ranges."""
    pairs: list[tuple[int, int]] = []
    for one in re.findall(r"(\d{1,20})(?:\s*-\s*(\d{1,20}))?", text):
        low, high = int(one[0]), int(one[1] or one[0])
        pairs.append((min(low, high), max(low, high)))
    return merged(pairs)


def merged(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Inclusive ranges in order, joined where they touch."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return tuple(out)
