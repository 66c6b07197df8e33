"""What the bench receives, planned: signals of a DBC to quantities of the process image, lowered to arrays.

``decode`` is what a tick calls (``hil.codec.decode_step``).
"""

from collections.abc import Sequence
from dataclasses import replace

from hil.codec import e2e, layout
from hil.codec.decode_step import COMBINES, SCAN_GROUPS, CodecParams, CodecState, Target, decode
from hil.codec.mapping import E2e, Line, Quantities
from hil.codec.nouns import Database, Message, Signal
from hil.codec.plan import folded, kind_of, stripped
from hil.errors import InputError, Problem, nearest
from hil.image import SWITCHED, Quantity, Table, bind
from hil.kernel import Rows, view, zeros
from hil.tick import CELLS

__all__ = ["CodecParams", "CodecState", "decode", "misread", "params", "wanted"]


def params(db: Database, quantities: Quantities, protected: E2e, table: Table) -> Rows[CodecParams]:
    """Lower a bus to arrays for one process image.

    Elements of a vector that the pack does not have are left out; frames with none of its cells are not waited for.

    Raises:
        InputError: a quantity is not in the table or not under ``reported.``, its labels differ from the DBC's value
            table, an element of a vector has no signal, or more than fits.
    """
    made = zeros(CodecParams)
    record = view(made)
    bind(made[0], table)
    by_signal = _kept(quantities, table)
    kept = {m.name: {s for name, s in by_signal if name == m.name} for m in db.messages}
    messages = [stripped(m, kept[m.name]) for m in db.messages if kept[m.name]]
    listed = layout.fill_layout(record.layout, messages)
    record.target["column"], record.target["tcolumn"], record.target["scan"] = -1, -1, -1
    for index, (_, message, signal) in enumerate(listed):
        line = by_signal.get((message.name, signal.name))
        if line is not None:
            _fill_target(record.target[index], line, table, line in quantities.scan)
    e2e.fill_table(record.e2e, protected.lines())
    names = [name for name, _ in protected.protections]
    record.protection[:] = -1
    for index, message in enumerate(messages):
        if message.name in names:
            record.protection[index] = names.index(message.name)
    _fill_scan(record, quantities, messages, listed, table)
    _fill_combines(record, quantities, table)
    return made


def _kept(quantities: Quantities, table: Table) -> dict[tuple[str, str], Line]:
    """Lines whose element the pack has, by (message, signal). Raises InputError with everything that does not fit."""
    problems: list[Problem] = []
    kept: dict[tuple[str, str], Line] = {}
    have: dict[str, set[int]] = {}
    for line in (*quantities.receive, *quantities.scan):
        quantity = wanted(line.quantity, "reported.", table)
        if isinstance(quantity, Problem):
            problems.append(_placed(quantities, line, quantity))
            continue
        have.setdefault(line.quantity, set()).add(line.index or 0)
        if (line.index or 0) < quantity.count:
            problems += [_placed(quantities, line, Problem(text)) for text in misread(line, quantity)]
            kept[line.message.name, line.signal.name] = line
    for name, indices in have.items():
        quantity = wanted(name, "reported.", table)
        missing = [] if isinstance(quantity, Problem) else sorted(set(range(quantity.count)) - indices)
        if missing:
            problems.append(Problem(f"{name}[{missing[0]}] has no signal", str(quantities.document.path)))
    if problems:
        raise InputError(dict.fromkeys(problems))
    return kept


def wanted(name: str, prefix: str, table: Table) -> Quantity | Problem:
    """The quantity of that name under ``prefix``, or what is wrong with it."""
    quantity = table.find(name)
    if quantity is not None and name.startswith(prefix):
        return quantity
    close = nearest(name, (n for n in table.names() if n.startswith(prefix))) or ""
    return Problem(f"no quantity {name!r} here", expected=f"a quantity under {prefix}*", nearest=close)


def misread(line: Line, quantity: Quantity) -> list[str]:
    """What is wrong between a signal and the quantity it becomes."""
    name = f"{line.message.name}.{line.signal.name}"
    texts = []
    low, high = line.signal.raw_range
    for key, raw in (("unknown", line.unknown), ("otherwise", line.otherwise)):
        if raw is not None and not low <= raw <= high:
            texts.append(f"{name}: {key} {raw} does not fit the signal, whose raw numbers are {low} to {high}")
    labels = {raw: text for raw, text in line.signal.labels if raw != line.unknown}
    if quantity.labels and labels and labels != dict(enumerate(quantity.labels)):
        texts.append(f"{name}: value table {labels} differs from the labels of {quantity.name} {quantity.labels}")
    return texts


def _placed(quantities: Quantities, line: Line, problem: Problem) -> Problem:
    place = quantities.document.place(line.at)
    return replace(problem, path=str(quantities.document.path), line=place.line, column=place.column)


def _fill_target(target: Target, line: Line, table: Table, in_scan: bool) -> None:
    quantity = table.find(line.quantity)
    if quantity is None:
        raise InputError(f"no quantity {line.quantity!r}")
    index = line.index or 0
    if in_scan:
        target.scan = index
    else:
        target.column, target.tcolumn = quantity.start + index, quantity.time_column(index)
    target.factor, target.offset = line.signal.factor, line.signal.offset
    target.kind = kind_of(line.signal)
    target.scale, target.shift = line.scale, line.offset
    target.has_unknown = int(line.unknown is not None)
    target.unknown = folded(line.unknown or 0)


def _fill_scan(
    record: CodecParams,
    quantities: Quantities,
    messages: Sequence[Message],
    listed: Sequence[tuple[int, Message, Signal]],
    table: Table,
) -> None:
    record.scan_message = -1
    scan = quantities.file.scan
    if scan is None:
        return
    vector = table.find(scan.quantity)
    counter = wanted(scan.counter_quantity, "reported.", table)
    if vector is None or isinstance(counter, Problem):
        raise InputError(quantities.document.problem(("scan", "counter_quantity"), f"no {scan.counter_quantity!r}"))
    name = quantities.scan[0].message.name
    message = next(i for i, m in enumerate(messages) if m.name == name)
    record.scan_message, record.scan_latency_ns = message, scan.latency
    signal = quantities.scan[0].message.signal(scan.counter.partition(".")[2])
    if signal is None or vector.count > CELLS:
        raise InputError(f"{scan.quantity}: no counter, or more than {CELLS} elements")
    cut = record.scan_counter
    cut.start, cut.width, cut.big, cut.signed = signal.start, signal.length, int(signal.big), 0
    record.scan_count, record.scan_column, record.scan_tcolumn = vector.count, vector.start, vector.time_start
    record.scan_counter_column, record.scan_counter_tcolumn = counter.start, counter.time_start
    if record.layout.mux0[message + 1] - record.layout.mux0[message] > 1:
        raise InputError(f"{name}: a scan's message has one multiplexer at most")
    first = int(record.layout.group0[message])
    count = int(record.layout.group0[message + 1]) - first
    if count > SCAN_GROUPS:
        raise InputError(f"{name}: {count} groups, a scan holds {SCAN_GROUPS}")
    for number in range(count):
        at = int(record.layout.group_first[first + number])
        inside = range(at, at + int(record.layout.group_count[first + number]))
        brings = any(record.target[i]["scan"] >= 0 for i in inside)  # type: ignore[index]  # a numpy record
        record.scan_needed[number] = int(brings and (number > 0 or count == 1))
    record.scan_groups = int(record.scan_needed.sum())


def _fill_combines(record: CodecParams, quantities: Quantities, table: Table) -> None:
    combines = quantities.file.combine
    if len(combines) > COMBINES:
        raise InputError(f"{len(combines)} combined quantities, a plan holds {COMBINES}")
    record.n_combines = len(combines)
    for k, (name, combined) in enumerate(combines.items()):
        found = [wanted(n, "reported.", table) for n in (name, *combined.of)]
        problems = [
            quantities.document.problem(("combine", name), q.message, expected=q.expected, nearest=q.nearest)
            for q in found
            if isinstance(q, Problem)
        ]
        if problems:
            raise InputError(problems)
        target, *parts = [q for q in found if isinstance(q, Quantity)]
        if target.labels != SWITCHED:
            raise InputError(quantities.document.problem(("combine", name), f"{name}: its labels are not {SWITCHED}"))
        c = record.combine[k]
        c.column, c.tcolumn, c.n = target.start, target.time_start, len(parts)
        for i, part in enumerate(parts):
            c.part[i], c.tpart[i] = part.start, part.time_start
