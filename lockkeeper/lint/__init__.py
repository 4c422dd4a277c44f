"""What is wrong with Argo's objects in files, for `lockkeeper lint`, without a cluster.

`reading` turns files into objects with their lines, and into documents for a snapshot; `lint` asks the
engine of the webhook in `policy.core` about each of them, by the policies among the files or by what Argo
itself would fail on. What goes out are findings, each with its file and line; `sarif` writes them for code
scanning, and `lockkeeper.cli.lint`, which calls all this, in its other formats. A new check of the engine
shows here by itself; a check of files alone is a function in `lint`.
"""
