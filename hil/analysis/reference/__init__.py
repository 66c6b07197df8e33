"""Reference mode: a physics model (PyBaMM) stepped as the plant, offline, beside the twin."""
