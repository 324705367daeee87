"""Tests of the Dagster project, through Dagster's own doors."""
