"""Fault campaign: real backfills under faults, and an independent look at what became of the lake."""
