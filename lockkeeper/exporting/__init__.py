"""The static part of policies as ValidatingAdmissionPolicy objects, for `lockkeeper export`.

A snapshot of policies comes in. `quota_rules` and `lock_rules` say in CEL what is decided by the new Workflow
alone, each rule with the code that a review gives (`static_rules`), and name the fields that CEL cannot say
with the reason. `admission_objects` makes a ValidatingAdmissionPolicy and its binding of each policy that has
a rule. Used by `lockkeeper.cli.planning.export`.
"""
