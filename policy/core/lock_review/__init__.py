"""Which locks an object gets and what is wrong with its locks, also in templates of other objects.

An object of any kind comes in; its patch, reasons and warnings about locks go out (`LockPart`). Templates
that a spec only refers to are looked up here: which locks they lack, and the sibling (a copy of the template
object with the locks) that a Workflow is redirected to. Called by `admission.decide` for Workflows
(`workflow_locks`) and templates (`template_locks`), and by the controller, which creates the siblings. Next:
`policy.core.admission`, which joins this with the decision of the quotas.
"""
