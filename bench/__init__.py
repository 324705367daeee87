"""Benchmarks: figures, not tests. `make bench` runs `bench.ingest`."""
