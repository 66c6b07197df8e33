"""BPX (Battery Parameter eXchange): reading a file, and a cell file made from it."""
