"""Settings that must stand before NumPy, PyTorch and Matplotlib are imported."""

import os

# One thread a process, as in the build: two test processes do not fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
