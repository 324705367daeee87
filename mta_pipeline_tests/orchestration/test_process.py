"""What loading the definitions does to the process that runs them."""

from __future__ import annotations

import subprocess
import sys

from mta_pipeline.orchestration.process import FEWER_COLLECTIONS


def test_what_was_imported_is_not_looked_through_for_garbage_again() -> None:
    code = """
import gc
import mta_pipeline.orchestration.definitions
print(gc.get_freeze_count(), gc.get_threshold()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, threshold = map(int, done.stdout.split())
    assert frozen > 50_000
    assert threshold == FEWER_COLLECTIONS
    assert done.stderr == ""
