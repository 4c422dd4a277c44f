"""The Go types of Argo and Kubernetes as tables, and whether an object decodes into them.

JSON of a Workflow or template comes in; the fields go out that Argo's controller cannot decode, each with its
path, its value and a fix. Argo decodes a whole list at once, so one such object stops all Workflows of the
cluster: it is refused at admission, and checked again before a release. The webhook, the linter and the
controller call `decodability`; `type_table` has the types, `argo_table` and `kubernetes_table` their fields,
`mismatch_messages` the sentences, `suggested_values` what to write instead. Next: `policy.core.admission`,
which decides on what does decode.
"""
