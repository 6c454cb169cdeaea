"""A study: train many runs, measure all systems made of them, write the table that compares them.

The flow: `config` (what the YAML file says) -> `plan` (options of every run, what is done already)
-> `execute` (one process of `tasksr-train` per run) -> `systems` (the rows' networks and costs) ->
`measure` (files of predictions and image quality) -> `figures` (vectors that can be resampled) ->
`tables` (``study.json``) -> `page` and `plots`.
"""
