"""CAN: a DBC and its two companions become arrays; kernels turn frames into quantities and quantities into frames."""
