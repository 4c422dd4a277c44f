"""Objects of Argo and Kubernetes as they are read, held, labelled and patched; nothing about limits or locks.

JSON of the API server comes in; narrow frozen structs go out, and patches (RFC 6902) go back. `workflow` has
the fields that are read, `well_known` the labels and annotations that are written, `hold` the patches that
hold and release a Workflow, `owners` whose child or scheduled run it is, `identities` the user it counts for,
`semantic_equality` and `status_nodes` whether an edit changes anything. Called by every room that reads an
object. Next: `policy.core.policy_kinds` for our own kinds, `policy.core.admission` for the decisions.
"""
