"""The admission face of Lockkeeper: HTTPS, the wire format, and the path of a review.

Comes in: a POST of an AdmissionReview, from the API server. Goes out: an AdmissionReview that allows with a
patch, or denies with reasons, or an HTTP error, on which the webhook's failurePolicy decides.
Decided here: who may call, how long a review may take, and whether a denial is a 403, 422 or 429. What
policies want is decided in `policy.core`, capacity under `onExceed: Deny` in `policy.cluster.ledgers`.

The path: `serving` (gunicorn, TLS, connections), `routes` (the caller, the body), `review`, which calls
`wire` (bytes to a Review), `owner_reads`, `policy.core.admission.decide`, `reservations` (the ledger) and
`encode`, then `logs` and `metrics`. `routes` hands a review of a policy to `policy_review`.
`lockkeeper.assembly` builds it all.
"""
