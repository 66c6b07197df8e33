"""Faults: transforms at the four injection points; outside its window every fault is the identity."""
