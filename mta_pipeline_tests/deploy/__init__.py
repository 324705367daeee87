"""Tests of deploy/: what is run elsewhere, as far as it can be held against the real things here."""
