"""Grokking: a memorizing and a computing circuit behind one training loss. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = ()
