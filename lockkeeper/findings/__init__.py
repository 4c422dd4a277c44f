"""What `lint` and `review` found, and the formats for the programs that read it: one writer for each.

`finding` says what a finding is, `report` what was checked to find it; `table`, `github`, `sarif` and `junit`
write a report for people, for annotations of GitHub Actions, for code scanning and for the test reports of
other CI systems. `rule_texts` explains the codes. `lockkeeper.lint`, `lockkeeper.manifests` and
`lockkeeper.cli.review` make findings; `lockkeeper.cli` prints what comes out here. A new format is a module
here and a word in `report_formats`.
"""
