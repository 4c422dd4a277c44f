"""Where policies come from: a folder or a cluster in, valid documents and every error out.

`yaml_positions` parses, `documents` classifies, `schema_check` validates. A folder is read by `directory` and
followed by `directory_reload`; `cluster_objects` follows the policies of a cluster, `namespaced_watch` the
templates and ConfigMaps that these need (`governed_namespaces`), as far as `namespace_bounds` allows. The
next step is `policy.core.policies.snapshot`, which compiles the documents; `snapshot_store` holds the current
snapshot for reviews and the controller. `lockkeeper.assembly` starts all of it.
"""
