"""Run the named benchmarks, or all of them, each in a process of its own, and print one table.

All of them together also write ``records/benchmarks.json``, which the page *Cost* draws.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

from benchmarks.connecting_dots import connecting_dots
from benchmarks.engine import engine, engine_widths
from benchmarks.grokking_step import grokking_step
from benchmarks.harness import MOST_ROUNDS, as_json, limited
from benchmarks.hull import hulls
from benchmarks.parity_sweep import parity_sweep
from benchmarks.phase_grid import phase_grid
from benchmarks.random_features import random_features
from benchmarks.rule_extrapolation import rule_extrapolation
from heldout import measured, work

# A new benchmark is a function that yields rows and growths, and one line here.
BENCHMARKS: dict[str, Callable[[], Iterator[Any]]] = {
    "hull": hulls,
    "random_features": random_features,
    "engine": engine,
    "engine_widths": engine_widths,
    "grokking_step": grokking_step,
    "phase_grid": phase_grid,
    "parity_sweep": parity_sweep,
    "rule_extrapolation": rule_extrapolation,
    "connecting_dots": connecting_dots,
}


def alone(name: str) -> tuple[dict[str, Any], float]:
    """One benchmark's lines, from a process of its own, and the load average at its end."""
    call = [sys.executable, "-m", "benchmarks", "--json", name]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout), os.getloadavg()[0]


def provenance() -> dict[str, Any]:
    """What made the record, and how busy the machine was before it began."""
    rates = work.rates()
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "product_rate": rates.flops,
        "cache_rate": rates.cache,
        "memory_rate": rates.memory,
        "call": rates.call,
        "rounds": limited(MOST_ROUNDS),
        "load_before": os.getloadavg()[0],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """The processor's name, without its number where the machine hides it."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(arguments: Sequence[str]) -> int:
    """Run and print; 2 when a name is unknown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"among {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--json", action="store_true", help="run the one benchmark here and print its lines as JSON")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes at once, each with its own threads")
    parser.add_argument("--output", type=Path, help="where all lines go; records/benchmarks.json when all are run")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(as_json(line for name in given.names for line in BENCHMARKS[name]())))
        return 0
    record: dict[str, Any] = {"provenance": provenance(), "rows": [], "growth": []}
    loads = []
    with ThreadPoolExecutor(given.jobs) as pool:
        results = pool.map(alone, given.names or BENCHMARKS)
        for found, load in results:
            loads.append(load)
            for row in found["rows"]:
                print(measured.line(row), flush=True)
            for growth in found["growth"]:
                print(measured.growth_line(growth), flush=True)
            record["rows"] += found["rows"]
            record["growth"] += found["growth"]
    record["provenance"] |= {
        "jobs": given.jobs,
        "loads": loads,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if given.output or not given.names:
        path = given.output or measured.path()
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"written: {path.name}")
    return 0


sys.exit(main(sys.argv[1:]))
