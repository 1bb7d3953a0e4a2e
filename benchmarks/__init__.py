"""The plain code a reader would write instead, timed beside ours in one run: ``python -m benchmarks [NAME ...]``."""
