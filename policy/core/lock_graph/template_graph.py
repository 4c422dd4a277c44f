"""The template graph of an object: every template body that a run of it reaches, and the calls between them.

Bodies are found through entrypoint, onExit, hooks, steps, DAG tasks, inline templates, templateRef and
workflowTemplateRef, in the object itself and in the templates of the cluster. Each body is a node once,
however often it is called; only where the name of a lock depends on an input is there a node for each value.
So the graph is as large as what is written, and recursion ends by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.references import Reference, Via, references
from policy.core.lock_graph.run_sources import FindOwner, RunSources, TemplateOwner, run_sources
from policy.core.lock_model.block_locks import Lock, locks_in, merged
from policy.core.lock_model.lock_names import held_locks, parameterised
from policy.core.lock_model.parameters import TagValues, bind_inputs, inputs_in, open_inputs, workflow_values
from policy.core.objects.template_keys import described, known_key
from policy.core.objects.workflow import Synchronization, Template
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part, paced

_MAX_NODES: Final = 20_000
"""Nodes of one graph; what lies beyond is not followed, and the graph is not `complete`."""
MAX_VARIANTS: Final = 100
"""Nodes of one body for different values of its inputs; a recursion that counts would never end."""
MAX_EXTRA_NODES: Final = 2_000
"""Nodes of all bodies together beyond the first of each; so a small object has no large graph."""
_NO_TEMPLATE: Final = Template()


class Edge(msgspec.Struct, frozen=True, eq=False):
    """A call as it is written, and the node that it runs, None where that is unknown."""

    reference: Reference
    target: "TemplateNode | None"


class TemplateNode(msgspec.Struct, frozen=True, eq=False):
    """A template body with its locks, or the run itself (`pointer` is that of the spec).

    `values` has the inputs that names of locks depend on. `calls` is filled while the graph is built.
    """

    owner: TemplateOwner
    template: Template
    pointer: str
    locks: tuple[Lock, ...]
    values: TagValues
    calls: list[Edge]


class UnknownReference(msgspec.Struct, frozen=True):
    """A reference to what does not exist: where it is written, and in words what is missing.

    With `local` it is missing in the object itself, so that no object created later can fix it.
    """

    owner: TemplateOwner
    pointer: str
    what: str
    local: bool


class Graph(msgspec.Struct, frozen=True, eq=False):
    """All that a run reaches from `root`; `complete` is False where the graph was too large to follow."""

    root: TemplateNode
    nodes: Sequence[TemplateNode]
    unknown: Sequence[UnknownReference]
    complete: bool


_BodyKey: TypeAlias = tuple[int, str]
"""A body: the identity of its object, and its pointer."""
AddedLocks: TypeAlias = Mapping[str, Sequence[str]]
"""Names of locks that injection puts on bodies of the object under review, by the pointer of the body."""
_NOTHING_ADDED: Final[AddedLocks] = {}


def build_graph(
    owner: TemplateOwner,
    find: FindOwner,
    namespace: str,
    *,
    added: AddedLocks = _NOTHING_ADDED,
    whole: bool = False,
    budget: Budget = UNBOUNDED,
) -> Graph:
    """Return the graph of what an object runs in a namespace; `find` looks up what it refers to.

    Of a template object that is each template by itself, or with `whole` what a workflowTemplateRef runs.
    """
    run = run_sources(owner, find, whole=whole)
    graph = _GraphBuilder(run, find, namespace, added, {}, budget=budget).graph()
    if any(_lock_inputs(node) for node in paced(graph.nodes, budget, Part.GRAPH)):
        relevant = _relevant_inputs(graph, budget)
        graph = _GraphBuilder(run, find, namespace, added, relevant, budget=budget).graph()
    return graph


class _GraphBuilder:
    """Builds a graph; with `relevant` inputs, one node for each value of these."""

    def __init__(
        self,
        run: RunSources,
        find: FindOwner,
        namespace: str,
        added: AddedLocks,
        relevant: Mapping[_BodyKey, frozenset[str]],
        *,
        budget: Budget,
    ) -> None:
        self._run, self._find, self._namespace, self._added = run, find, namespace, added
        self._relevant, self._budget = relevant, budget
        self._extra_nodes = 0
        self._nodes: dict[tuple[_BodyKey, tuple[str, ...]], TemplateNode] = {}
        self._variants: dict[_BodyKey, int] = {}
        self._todo: list[TemplateNode] = []
        self._unknown: list[UnknownReference] = []
        self._complete = True
        self._defaults, self._defaults_at = run.template_defaults()
        given = () if run.owner.is_template else [source.spec.arguments for source in run.sources]
        self._values = workflow_values(given, namespace)

    def graph(self) -> Graph:
        """Return the graph of all that the run reaches."""
        owner = self._run.owner
        ref = owner.spec.workflow_template_ref
        if ref is not None and len(self._run.sources) == 1 and not owner.is_template:
            self._miss(owner, f"{owner.at}/workflowTemplateRef", described(ref), local=False)
        block, where = self._run.synchronization()
        root = TemplateNode(owner, _NO_TEMPLATE, owner.at, self._taken(block, where, self._values), {}, [])
        within = self._run.templates
        for number, (source, reference) in enumerate(self._run.entries(), 1):
            if not number % STEPS:
                self._budget.check(Part.GRAPH)
            root.calls.append(Edge(reference, self._target(root, within, source, reference)))
        while self._todo:
            node = self._todo.pop()
            self._budget.check(Part.GRAPH)
            for number, reference in enumerate(references(node.template, node.pointer, self._budget), 1):
                if not number % STEPS:
                    self._budget.check(Part.GRAPH)
                target = self._target(node, node.owner, node.owner, reference)
                node.calls.append(Edge(reference, target))
        return Graph(root, tuple(self._nodes.values()), tuple(self._unknown), self._complete)

    def _target(
        self, caller: TemplateNode, owner: TemplateOwner, written: TemplateOwner, reference: Reference
    ) -> TemplateNode | None:
        """Return the node that a call runs; `owner` has the names, and the call is written in `written`."""
        if reference.inline is not None:
            return self._node(owner, reference.inline, f"{reference.pointer}/inline", caller, reference)
        name, ref = reference.template, reference.ref
        if ref is not None:
            name = ref.template
            if known_key(ref, self._namespace) is None or parameterised(ref.name) or parameterised(name):
                return None
            found = self._find(ref)
            if found is None:
                self._miss(written, f"{reference.pointer}/templateRef", described(ref), local=False)
                return None
            owner = found
        if not name or parameterised(name):
            return None
        number = owner.numbers.get(name)
        if number is None or owner.spec.templates is None:
            local = ref is None and owner is written
            self._miss(written, _where_named(reference), f'template "{name}" of {owner}', local=local)
            return None
        body = owner.spec.templates[number]
        return self._node(owner, body, f"{owner.at}/templates/{number}", caller, reference)

    def _node(
        self,
        owner: TemplateOwner,
        template: Template,
        pointer: str,
        caller: TemplateNode,
        reference: Reference,
    ) -> TemplateNode | None:
        body = (id(owner), pointer)
        wanted = self._relevant.get(body)
        values = self._bound(template, body, sorted(wanted), caller, reference) if wanted else {}
        key = (body, tuple(values.values()))
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= _MAX_NODES:
                self._complete = False
                return None
            variants = self._variants[body] = self._variants.get(body, 0) + 1
            self._extra_nodes += variants > 1
            locks = self._locks(owner, template, pointer, values)
            node = self._nodes[key] = TemplateNode(owner, template, pointer, locks, values, [])
            self._todo.append(node)
        return node

    def _bound(
        self,
        template: Template,
        body: _BodyKey,
        wanted: Sequence[str],
        caller: TemplateNode,
        reference: Reference,
    ) -> TagValues:
        where = f"{caller.owner}{reference.pointer}"
        too_many = self._extra_nodes >= MAX_EXTRA_NODES or self._variants.get(body, 0) >= MAX_VARIANTS
        if too_many or reference.via is Via.ROOT:
            return open_inputs(wanted, where)
        return bind_inputs(template, wanted, reference.arguments, {**self._values, **caller.values}, where)

    def _locks(
        self, owner: TemplateOwner, template: Template, pointer: str, values: TagValues
    ) -> tuple[Lock, ...]:
        """Return the locks of a body: its own, what templateDefaults adds, and what injection puts on it."""
        own, where = template.synchronization, f"{pointer}/synchronization"
        more = self._added.get(pointer, ()) if owner is self._run.owner else ()
        if own is None and self._defaults is None and not more:
            return ()
        known = {**self._values, **values} if values else self._values
        locks = self._taken(own, where, known)
        names = {lock.name for lock in locks}
        if self._defaults is not None:
            inherited = self._taken(merged(own, self._defaults), self._defaults_at, known)
            locks += tuple(lock for lock in inherited if lock.name not in names)
            names.update(lock.name for lock in inherited)
        return locks + tuple(Lock(name, where, certain=True) for name in more if name not in names)

    def _taken(self, block: Synchronization | None, where: str, values: TagValues) -> tuple[Lock, ...]:
        return locks_in(block, where, self._namespace, values)

    def _miss(self, owner: TemplateOwner, pointer: str, what: str, *, local: bool) -> None:
        self._unknown.append(UnknownReference(owner, pointer, what, local))


def _lock_inputs(node: TemplateNode) -> set[str]:
    """Return the inputs that the names of a body's own locks depend on."""
    block = node.template.synchronization
    if block is None:
        return set()
    return {name for lock in held_locks(block, "") for name in inputs_in(lock)}


def _relevant_inputs(graph: Graph, budget: Budget) -> Mapping[_BodyKey, frozenset[str]]:
    """Return for each body the inputs that a lock's name depends on, here or in what it calls."""
    relevant: dict[_BodyKey, set[str]] = {}
    callers: dict[_BodyKey, list[tuple[TemplateNode, Edge]]] = {}
    for node in paced(graph.nodes, budget, Part.GRAPH):
        relevant[_body(node)] = _lock_inputs(node)
        for edge in node.calls:
            if edge.target is not None:
                callers.setdefault(_body(edge.target), []).append((node, edge))
    changed = [body for body, names in relevant.items() if names]
    while changed:
        body = changed.pop()
        budget.check(Part.GRAPH)
        for caller, edge in callers.get(body, ()):
            passed = _passed(edge, relevant[body])
            known = relevant[_body(caller)]
            if not passed <= known:
                known |= passed
                changed.append(_body(caller))
    return {body: frozenset(names) for body, names in relevant.items() if names}


def _passed(edge: Edge, names: Iterable[str]) -> set[str]:
    """Return the caller's inputs that the values of these inputs depend on."""
    arguments = edge.reference.arguments
    given = {each.name: each.value for each in (arguments.parameters if arguments else None) or ()}
    texts = [value for name in names if isinstance(value := given.get(name), str)]
    return {name for text in texts for name in inputs_in(text)}


def _body(node: TemplateNode) -> _BodyKey:
    return (id(node.owner), node.pointer)


def called_as(node: TemplateNode) -> str:
    """Return what sentences call a node: the name of its template, or what it is without one."""
    if node.template.name:
        return node.template.name
    return "the whole Workflow" if node.pointer == node.owner.at else "an inline template"


def _where_named(reference: Reference) -> str:
    """Return the pointer to the name that a reference gives."""
    if reference.ref is not None:
        return f"{reference.pointer}/templateRef/template"
    if reference.via is Via.ENTRYPOINT or reference.name == "onExit":
        return reference.pointer  # These fields are the name itself.
    return f"{reference.pointer}/template"
