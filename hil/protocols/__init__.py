"""Byte formats and curves that both sides of a wire must agree on, shared by drivers, emulators and simulated devices."""
