"""The Dagster project: thin modules, one concept each, over `mta_pipeline.domain`.

`partitions`, `resources` and `io_managers` are what `assets` (the heart) and `checks` stand on;
`events` says how a week's outcome is told to Dagster, `late_files` what becomes of weeks that do not
come; `jobs`, `schedules` and `definitions` put it all before the UI and the daemon.
"""
