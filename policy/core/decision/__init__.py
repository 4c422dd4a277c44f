"""A review and its decision as values, and the sentences that people read in both.

A `Review` (an admission review, decoded) goes in at `admission.decide`; a `Decision` comes out: allowed or
not, every reason with code, field path and fix, warnings, patch and what must be reserved. `quota_messages`
has the sentences about limits, since the webhook, the controller and the linter write the same ones; the
reasons for waiting are in `queue.wait_messages`. Called by every room that can refuse an object. A new reason
is a new `Code` here. Next: `webhook.encode` writes a decision as an AdmissionReview.
"""
