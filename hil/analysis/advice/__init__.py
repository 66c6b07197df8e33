"""Condition-based maintenance: from a pack's condition to what to do, when, why and how sure."""
