"""The locks' part of a decision, also where the templates belong to other objects.

An object of any kind comes in; its patch, reasons and warnings about locks go out. Templates that a spec only
refers to are looked up here: which locks they lack, and the sibling (a copy of the template object with the
locks) that a Workflow is led to instead. Called by `admission.decide` for Workflows and for templates, and by
the controller, which creates the siblings. Next: `policy.core.admission`, which joins this with what the
quotas say.
"""
