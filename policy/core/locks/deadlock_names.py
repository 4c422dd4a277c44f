"""What template bodies are called in sentences about locks."""

from policy.core.locks.graph import Node


def called_as(node: Node) -> str:
    """Return what a node is called: the run, a template, or where an inline one stands."""
    if node.template.name:
        return node.template.name
    return "the whole Workflow" if node.pointer == node.home.at else "an inline template"
