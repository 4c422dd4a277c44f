"""What all kinds of policy share: how their structs look on the wire, and amounts of Workflows and tasks."""

import msgspec

from policy.core.amounts import AmountField


class Field(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of policy structs: immutable, camelCase on the wire."""


class QuotaLimits(Field, frozen=True):
    """How much may run at once; an absent bound is unlimited, 0 lets nothing run."""

    workflows: AmountField | None = None
    tasks: AmountField | None = None
