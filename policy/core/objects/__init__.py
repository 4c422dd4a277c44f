"""Objects of Argo and Kubernetes as they are read, held, labelled and patched; nothing about limits or locks.

JSON of the API server comes in; narrow frozen structs go out, and patches (RFC 6902) go back. `workflow` has
the fields that are read, `well_known` the labels and annotations that are written, `hold` is how a Workflow
waits without Argo touching it and how it is freed, `owners` says whose child a Workflow is, `identities` who
writes it for whom. Called by every room that looks at an object. Next: `policy.core.policy_kinds` for our own
kinds, `policy.core.admission` for what is decided about an object.
"""
