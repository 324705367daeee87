"""Tests of `mta_pipeline.domain`, one file a module."""
