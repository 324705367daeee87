"""What the pipeline knows of turnstile files, in plain Python: nothing in here imports Dagster.

The modules in the order of the data's way: `weeks` and `layouts` (what is published), `feed`
(fetch), `staging` (scratch on disk), `scan` and `audit` (look, then judge), `compression`, `lake`
(publish), and `ingest`, which leads one week through all of them. `settings`, `errors` and
`sample` (a made-up feed) serve them all.
"""
