"""Run the named benchmarks, or all of them, and print one table."""

import sys

import torch

from benchmarks.engine import engine, engine_widths
from benchmarks.grokking_step import grokking_step
from benchmarks.harness import product_rate, table
from benchmarks.hull import hulls
from benchmarks.parity_sweep import parity_sweep
from benchmarks.phase_grid import phase_grid
from benchmarks.random_features import random_features
from benchmarks.rule_extrapolation import rule_extrapolation

# A new benchmark is a function that yields rows, and one line here.
BENCHMARKS = {
    "engine": engine,
    "engine_widths": engine_widths,
    "grokking_step": grokking_step,
    "hull": hulls,
    "parity_sweep": parity_sweep,
    "phase_grid": phase_grid,
    "random_features": random_features,
    "rule_extrapolation": rule_extrapolation,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    threads = torch.get_num_threads()
    print(f"square float32 product, {threads} threads: {product_rate() / 1e9:.0f} GFLOP/s")
    print(table(row for name in names or BENCHMARKS for row in BENCHMARKS[name]()))
    return 0


sys.exit(main(sys.argv[1:]))
