"""Byte formats and curves that both sides of a wire must agree on: drivers, emulators and simulated devices."""
