"""The objects in the files that a user gives: what `lint`, `review` and `run` read.

Paths go in; `reading` returns every object with its place, and what could not be read as findings beside it:
one bad file hides nothing of the others. `path_patterns` leaves files out, `helm_templates` recognises what
only helm can read, `object_kinds` passes over what is no object and tells misspelt kinds, `carriers` finds
the Workflows inside Sensors, schedules of pipelines and resource templates, `written_words` says `yes` where
the value is true. The next step is `lockkeeper.lint.reading` or `lockkeeper.reviewing`.
"""
