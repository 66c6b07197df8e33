"""Scenarios: what people write, checked before anything is powered, lowered to arrays that a tick can follow."""
