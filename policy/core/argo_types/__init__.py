"""The Go types of Argo and Kubernetes as tables, and whether an object decodes into them.

JSON of a Workflow or template comes in; the fields go out that Argo's controller could not decode, each with
its path, what stands there and what would be right. Argo decodes a whole list at once, so one such object
stops every Workflow of the cluster: it is refused at admission, and looked at again before a release. Called
by the webhook, the linter and the controller with `decodability`. Next: `policy.core.admission`, which
decides on what does decode.
"""
