"""The reference BMS as a device under test."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hil.files.limits import BmsLimits, load_limits
from hil.kernel import Rows, copied, view, zeros
from hil.tick import DutLink
from hil.virtual.bms import config as builder
from hil.virtual.bms.defects import find_defects
from hil.virtual.bms.interpret import Mirror, PortMirror, build
from hil.virtual.bms.nvm import pack_nvm, unpack_nvm
from hil.virtual.bms.record import BmsConfig, BmsState, Slot
from hil.virtual.bms.step import step_rows


class ReferenceBms:
    """Level L0. Compiled, unless a function is replaced (a defect, a mutant) or ``compiled`` is False.

    ``state`` and ``config`` are the arrays of one record that ``bms_step`` takes; a bench may call that kernel directly
    as long as ``compiled`` holds.
    """

    def __init__(
        self,
        limits: BmsLimits | Path | str,
        bus: Path | str,
        n_cells: int,
        n_temps: int,
        *,
        defects: Iterable[str] = (),
        replacements: Mapping[str, Callable[..., Any]] | None = None,
        compiled: bool = True,
    ) -> None:
        """``limits``: a limits file or its model; ``bus``: a ``*.quantities.yaml``; ``replacements`` as in ``build``.

        Raises:
            InputError: a file is wrong, the pack does not fit, or a defect or function is unknown.
        """
        model = limits if isinstance(limits, BmsLimits) else load_limits(limits)
        found = find_defects(defects)
        replaced = {name: fn for defect in found for name, fn in defect.rules.items()} | dict(replacements or {})
        self.config: Rows[BmsConfig] = builder.config(model, bus, n_cells, n_temps)
        for defect in found:
            if defect.calibrate is not None:
                defect.calibrate(view(self.config))
        self.compiled = compiled and not replaced
        self.period_ns, self.phase_ns = model.timing.task, model.timing.phase
        self.defects = tuple(defect.name for defect in found)
        self._name = model.bms
        self._state: Rows[BmsState] = zeros(BmsState)
        self._step = None if self.compiled else build(replaced)
        self._fixed = None if self.compiled else Mirror(BmsConfig, self.config)
        self._moving = None if self.compiled else Mirror(BmsState, self._state)
        self._port: PortMirror | None = None
        self.reset(b"")

    @property
    def state(self) -> Rows[BmsState]:
        """What the BMS remembers, as it stands."""
        if self._moving is not None:
            self._moving.write()
        return self._state

    def reset(self, nvm: bytes) -> None:
        """Power on with an NVM image; an empty or damaged one gives the factory state of charge."""
        np.asarray(self._state).view(np.uint8)[:] = 0
        s, c = view(self._state), view(self.config)
        kept = unpack_nvm(nvm)
        s.charge_uas, s.deep_latched = kept if kept is not None else (c.factory_charge_uas, 0)
        s.slots[Slot.HARDWARE], s.slots[Slot.SOFTWARE] = c.hardware_version, c.software_version
        s.slots[Slot.CALIBRATION] = c.calibration_version
        if self._moving is not None:
            self._moving.read()

    def step(self, t_ns: int, dt_ns: int, port: Rows[DutLink]) -> None:
        """Run one task activation at ``t_ns``."""
        if self._step is None or self._moving is None or self._fixed is None:
            step_rows(self._state, self.config, port, t_ns, dt_ns)
            return
        if self._port is None or self._port.array is not port:
            self._port = PortMirror(port)
        self._port.read()
        self._step(self._moving.object, self._fixed.object, self._port, t_ns, dt_ns)
        self._port.write()

    def nvm(self) -> bytes:
        """The non-volatile image as it stands."""
        s = view(self.state)
        return pack_nvm(int(s.charge_uas), bool(s.deep_latched))

    def nvm_for(self, soc: float) -> bytes:
        """An image of this BMS with a state of charge of 0..1."""
        return pack_nvm(round(soc * int(view(self.config).capacity_uas)))

    def snapshot(self) -> Rows[BmsState]:
        """A copy of ``state``."""
        made: Rows[BmsState] = copied(self.state)
        return made

    def identity(self) -> dict[str, str]:
        """Level, versions and active defects."""
        c = view(self.config)
        return {
            "level": "L0",
            "name": self._name,
            "hardware": str(c.hardware_version),
            "software": str(c.software_version),
            "calibration": str(c.calibration_version),
            "build": "compiled" if self.compiled else "CPython",
            "defects": " ".join(self.defects) or "none",
        }
