"""The reference BMS (level L0): readable, in integers, compiled or in CPython from the same source."""
