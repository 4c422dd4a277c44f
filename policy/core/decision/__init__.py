"""A review and its decision as values, and the sentences that people read in both.

A `Review` (what the API server sent, decoded) goes in at `admission.decide`; a `Decision` comes out: allowed
or not, every reason with code, field path and fix, warnings, patch and what is to be reserved. The messages
about limits and about waiting stand here too, since the webhook, the controller and the linter say the same.
Called by every room that can say no. A new reason is a new `Code` here. Next: `webhook.encode` writes a
decision as an AdmissionReview.
"""
