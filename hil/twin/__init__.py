"""The digital twin: what the cells should do, from measured current, temperature and voltage alone.

It shares numbers with the emulated pack (the cell file), never code, and never sees truth, scatter or the true SoC.
"""
