"""Templates that injection makes: their names, and how they are known again.

A name is the base's, a check of it and a digest of what was made: `load-lk1a2b3c4d5e`. Whoever takes such a
name for a template of his own gains nothing: by a name of this form a template counts as its base, and a
layer is one only where it does nothing but call its base.
"""

import hashlib
import re
from typing import Final

from policy.core.objects.workflow import Call, Template

MAX_NAME: Final = 128
"""Longest name of a template in Argo's full CRD."""
BASE_TASK: Final = "base"
LOCKED_TASK: Final = "locked"
FREE_TASK: Final = "free"
_MARK: Final = "-lk"
_CHECK: Final = 4
_DIGEST: Final = 6
_FORM: Final = re.compile(rf"(?P<base>.+){_MARK}(?P<check>[0-9a-f]{{{_CHECK}}})[0-9a-f]{{{_DIGEST}}}")
_VALID: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*", re.ASCII)


def can_name(base: str) -> bool:
    """Tell whether a name can be made of this one: Argo's rule for names, and room for what is added."""
    longest = MAX_NAME - len(_MARK) - _CHECK - _DIGEST
    return len(base) <= longest and _VALID.fullmatch(base) is not None


def generated_name(base: str, *what: str) -> str:
    """Return the name of what is made of the template `base`; the same for the same parts."""
    base = base_name(base)
    return f"{base}{_MARK}{_hex(base)[:_CHECK]}{_hex(base, *what)[:_DIGEST]}"


def base_name(name: str) -> str:
    """Return the name of the template that one was made of, else the name as it is."""
    if _MARK not in name:
        return name
    found = _FORM.fullmatch(name)
    return found["base"] if found is not None and found["check"] == _hex(found["base"])[:_CHECK] else name


def is_generated(name: str) -> bool:
    """Tell whether a name has the form of those that are made here."""
    return base_name(name) != name


def is_layer(template: Template) -> bool:
    """Tell whether a template only stands in front of another: a wrapper, or a choice of two."""
    if template.dag is None or template.name is None:
        return False
    tasks = template.dag.tasks or ()
    names = [task.name for task in tasks]
    if names not in ([BASE_TASK], [LOCKED_TASK, FREE_TASK]):
        return False
    own = template.name
    return all(base_name(target) == base_name(own) and target != own for target in map(_target, tasks)) and (
        is_generated(own) or all(is_generated(_target(task)) for task in tasks)
    )


def _target(task: Call) -> str:
    if task.template_ref is not None:
        return task.template_ref.template or ""
    return task.template or ""


def _hex(*parts: str) -> str:
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).hexdigest()
