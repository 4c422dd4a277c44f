"""The template graph of an object: every template body that a run of it reaches, and the calls between them.

Bodies are found through entrypoint, onExit, hooks, steps, DAG tasks, inline templates, templateRef and
workflowTemplateRef, in the object itself and in the templates of the cluster. Each body is a node once,
however often it is called; only where the name of a lock depends on an input, or on an item of a loop that is
written down, is there a node for each value. So the graph is as large as what is written, and recursion ends
by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.call_values import NO_ITEM, CallValues, lock_tags, open_values, passed_tags
from policy.core.lock_graph.loop_items import MAX_ITEMS, LoopItem, items_of
from policy.core.lock_graph.references import Reference, Via, references
from policy.core.lock_graph.run_sources import FindOwner, RunSources, TemplateOwner, run_sources
from policy.core.lock_model.block_locks import Lock, locks_in, merged
from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.parameters import TagValues, fill_tags, workflow_values
from policy.core.objects.template_keys import known_key
from policy.core.objects.workflow import Call, Parameters, Synchronization, Template
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part, paced

_MAX_NODES: Final = 20_000
"""Nodes of one graph; what lies beyond is not followed, and the graph is not `complete`."""
MAX_VARIANTS: Final = 100
"""Nodes of one body for different values of its inputs; a recursion that counts would never end."""
MAX_EXTRA_NODES: Final = 2_000
"""Nodes of all bodies together beyond the first of each; so a small object has no large graph."""
MAX_ITEM_CALLS: Final = 5_000
"""Items of all loops together that are looked at one by one; those beyond are known only at run time."""
_NO_TEMPLATE: Final = Template()
_BodyKey: TypeAlias = tuple[int, str]
"""A body: the identity of its object, and its pointer."""


class _Called(msgspec.Struct, frozen=True):
    """A body that is called: in which object, and where it is written."""

    owner: TemplateOwner
    template: Template
    pointer: str

    @property
    def key(self) -> _BodyKey:
        """What identifies the body."""
        return (id(self.owner), self.pointer)


class Edge(msgspec.Struct, frozen=True, eq=False):
    """A call as it is written, and the node that it runs, None where that is unknown."""

    reference: Reference
    target: "TemplateNode | None"


class TemplateNode(msgspec.Struct, frozen=True, eq=False):
    """A template body with its locks, or the run itself (`pointer` is that of the spec).

    `values` has the inputs, and items of loops, that names of locks depend on. `calls` is filled while the
    graph is built.
    """

    owner: TemplateOwner
    template: Template
    pointer: str
    locks: tuple[Lock, ...]
    values: TagValues
    calls: list[Edge]


class Graph(msgspec.Struct, frozen=True, eq=False):
    """All that a run reaches from `root`; `complete` is False where the graph was too large to follow."""

    root: TemplateNode
    nodes: Sequence[TemplateNode]
    complete: bool


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
    relevant = _relevant_tags(graph, budget)
    if relevant:
        graph = _GraphBuilder(run, find, namespace, added, relevant, budget=budget).graph()
    return graph


class _GraphBuilder:
    """Builds a graph; with `relevant` tags, one node for each value of these."""

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
        self._extra_nodes = self._item_calls = 0
        self._nodes: dict[tuple[_BodyKey, tuple[tuple[str, str], ...]], TemplateNode] = {}
        self._variants: dict[_BodyKey, int] = {}
        self._todo: list[TemplateNode] = []
        self._complete = True
        self._defaults, self._defaults_at = run.template_defaults()
        given = () if run.owner.is_template else [source.spec.arguments for source in run.sources]
        self._values = workflow_values(given, namespace)
        self._arguments = None if run.owner.is_template else run.arguments()

    def graph(self) -> Graph:
        """Return the graph of all that the run reaches."""
        owner = self._run.owner
        block, where = self._run.synchronization()
        root = TemplateNode(owner, _NO_TEMPLATE, owner.at, self._taken(block, where, self._values), {}, [])
        within = self._run.templates
        for number, reference in enumerate(self._run.entries(), 1):
            if not number % STEPS:
                self._budget.check(Part.GRAPH)
            self._add_calls(root, within, reference)
        while self._todo:
            node = self._todo.pop()
            self._budget.check(Part.GRAPH)
            known = {**self._values, **node.values} if node.values else self._values
            calls = references(node.template, node.pointer, self._budget, known)
            for number, reference in enumerate(calls, 1):
                if not number % STEPS:
                    self._budget.check(Part.GRAPH)
                self._add_calls(node, node.owner, reference)
        return Graph(root, tuple(self._nodes.values()), self._complete)

    def _add_calls(self, caller: TemplateNode, owner: TemplateOwner, reference: Reference) -> None:
        """Add a call to its caller, with one edge for each item of a loop on which a lock depends.

        `owner` has the names.
        """
        found = self._called(owner, reference)
        if found is None:
            caller.calls.append(Edge(reference, None))
            return
        for each, values in self._with_values(found, caller, reference):
            caller.calls.append(Edge(each, self._node(found, values)))

    def _called(self, owner: TemplateOwner, reference: Reference) -> _Called | None:
        """Return the body that a call runs, None where it is unknown or missing."""
        if reference.inline is not None:
            return _Called(owner, reference.inline, f"{reference.pointer}/inline")
        name, ref = reference.template, reference.ref
        if ref is not None:
            name = ref.template
            if known_key(ref, self._namespace) is None or parameterised(ref.name) or parameterised(name):
                return None
            found = self._find(ref)
            if found is None:
                return None
            owner = found
        if not name or parameterised(name):
            return None
        number = owner.numbers.get(name)
        if number is None or owner.spec.templates is None:
            return None
        return _Called(owner, owner.spec.templates[number], f"{owner.at}/templates/{number}")

    def _with_values(
        self, called: _Called, caller: TemplateNode, reference: Reference
    ) -> Iterator[tuple[Reference, TagValues]]:
        """Yield a call with the values that it gives, for each item of its loop where these differ."""
        wanted = sorted(self._relevant.get(called.key, ()))
        where = f"{caller.owner}{reference.pointer}"
        if not wanted or self._too_many(called) or reference.via is Via.ROOT:
            yield reference, open_values(wanted, where)
            return
        outer = {**self._values, **caller.values}
        arguments = self._arguments_of(reference)
        given = CallValues(
            called.template, wanted, reference, arguments, caller=caller.template, outer=outer, where=where
        )
        loop = reference.loop
        if caller.template.dag is not None and reference.via not in (Via.TASK, Via.STEP):
            loop = None  # Argo runs the hooks of the task as it is written, with `{{item}}` as text.
        for item in self._items(called, loop, given, outer):
            if item is None:
                yield reference, given.of(NO_ITEM)
            else:
                named = msgspec.structs.replace(reference, name=_of_item(reference, item))
                yield named, given.of(item.values)

    def _items(
        self, called: _Called, loop: Call | None, given: CallValues, outer: TagValues
    ) -> Iterator[LoopItem | None]:
        """Yield the items that a call is made for, as far as they matter; None for all that are unknown."""
        items = items_of(loop, outer) if loop is not None and given.depends_on_item else None
        number = 0
        for number, item in enumerate(items or (), 1):
            self._item_calls += 1
            if number > MAX_ITEMS or self._item_calls > MAX_ITEM_CALLS or self._too_many(called):
                yield None
                return
            if not item.skipped:
                yield item
        if not number:
            yield None

    def _arguments_of(self, reference: Reference) -> Parameters | None:
        """Return what a call passes: an exit handler without arguments gets those of the run."""
        given = reference.arguments
        if reference.via is Via.EXIT and not (given is not None and given.parameters):
            return self._arguments
        return given

    def _too_many(self, called: _Called) -> bool:
        """Return whether a body, or all together, have so many nodes that no value gets one of its own."""
        return self._extra_nodes >= MAX_EXTRA_NODES or self._variants.get(called.key, 0) >= MAX_VARIANTS

    def _node(self, called: _Called, values: TagValues) -> TemplateNode | None:
        key = (called.key, tuple(values.items()))
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= _MAX_NODES:
                self._complete = False
                return None
            variants = self._variants[called.key] = self._variants.get(called.key, 0) + 1
            self._extra_nodes += variants > 1
            locks = self._locks(called, values)
            node = TemplateNode(called.owner, called.template, called.pointer, locks, values, [])
            self._nodes[key] = node
            self._todo.append(node)
        return node

    def _locks(self, called: _Called, values: TagValues) -> tuple[Lock, ...]:
        """Return the locks of a body: its own, what templateDefaults adds, and what injection puts on it."""
        own, where = called.template.synchronization, f"{called.pointer}/synchronization"
        more = self._added.get(called.pointer, ()) if called.owner is self._run.owner else ()
        if own is None and self._defaults is None and not more:
            return ()
        known = {**self._values, **values} if values else self._values
        locks = self._taken(own, where, known)
        names = {lock.name for lock in locks}
        if self._defaults is not None:
            inherited = self._taken(merged(own, self._defaults), self._defaults_at, known)
            locks += tuple(lock for lock in inherited if lock.name not in names)
            names.update(lock.name for lock in inherited)
        filled = [fill_tags(name, known) for name in more]
        return locks + tuple(Lock(name, where, certain=True) for name in filled if name not in names)

    def _taken(self, block: Synchronization | None, where: str, values: TagValues) -> tuple[Lock, ...]:
        return locks_in(block, where, self._namespace, values)


def _relevant_tags(graph: Graph, budget: Budget) -> Mapping[_BodyKey, frozenset[str]]:
    """Return for each body the tags that a lock's name depends on, here or in what it calls."""
    own = _own_tags(graph, budget)
    if not own:
        return {}
    relevant = {_body(node): own.get(node, set()) for node in graph.nodes}
    callers: dict[_BodyKey, list[tuple[TemplateNode, Edge]]] = {}
    for node in paced(graph.nodes, budget, Part.GRAPH):
        for edge in node.calls:
            if edge.target is not None:
                callers.setdefault(_body(edge.target), []).append((node, edge))
    changed = [body for body, names in relevant.items() if names]
    while changed:
        body = changed.pop()
        budget.check(Part.GRAPH)
        for caller, edge in callers.get(body, ()):
            passed = passed_tags(edge.reference, relevant[body], inline=_is_inline(caller))
            known = relevant[_body(caller)]
            if not passed <= known:
                known |= passed
                changed.append(_body(caller))
    return {body: frozenset(names) for body, names in relevant.items() if names}


def _own_tags(graph: Graph, budget: Budget) -> Mapping[TemplateNode, set[str]]:
    """Return the bodies of which the names of their own locks have tags, and these."""
    own: dict[TemplateNode, set[str]] = {}
    for node in paced(graph.nodes, budget, Part.GRAPH):
        if node.locks:
            found = lock_tags((lock.name for lock in node.locks), inline=_is_inline(node))
            if found:
                own[node] = found
    return own


def _is_inline(node: TemplateNode) -> bool:
    return node.pointer.endswith("/inline")


def _of_item(reference: Reference, item: LoopItem) -> str:
    """Return what a call is called in sentences: a task or step as Argo calls it, a hook as it is written."""
    return item.name if reference.via in (Via.TASK, Via.STEP) else reference.name


def _body(node: TemplateNode) -> _BodyKey:
    return (id(node.owner), node.pointer)


def called_as(node: TemplateNode) -> str:
    """Return what sentences call a node: the name of its template, or what it is without one."""
    if node.template.name:
        return node.template.name
    return "the whole Workflow" if node.pointer == node.owner.at else "an inline template"
