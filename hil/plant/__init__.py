"""The emulated pack: what is. A derivation of its own, independent of the twin; they share the pack file only.

``pack`` holds the stage (prepare, step) and its records; ``cells`` the electrochemistry, ``thermal`` the heat chain,
``contactors`` and ``circuit`` the high-voltage side, ``isolation`` the rails to chassis.
"""
