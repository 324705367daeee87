"""The command line: thin, over the same job and the same Dagster instance as the UI."""
