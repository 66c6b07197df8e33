"""The virtual bench: bus, wires, instruments and a device under test, all in the virtual time of one run."""
