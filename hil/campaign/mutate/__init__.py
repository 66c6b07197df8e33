"""Mutation: change one thing in the code and see whether the judges notice. One engine for every room.

``nouns`` (read first) says what a target, a mutant and a finding are; ``operators`` what is changed, ``sites`` where;
``loading`` makes fresh copies of modules with one of them mutated, ``probes`` tells what the copies executed,
``judging`` asks callables, ``suites`` makes such of tests, ``trees`` asks pytest in processes of its own; ``worker`` is one
process, ``pool`` has several of them; ``run`` puts it together and ``report`` tells it.
"""
