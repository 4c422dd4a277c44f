"""The worst inputs that could be found for each part of a review, in any size, as bodies of reviews.

Each is harmless: Argo and the API server never see them. `WORST` names them; a part that is added to the
review gets a shape of its own here.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, TypeAlias

import msgspec

from tests.webhook.oracle import Json
from tests.webhook.reviews import EVERYTHING, admission_review, lock_policy, quota, workflow

Make: TypeAlias = Callable[[int], Json]
"""Makes the spec of a Workflow of about so many bytes."""
_TEMPLATE_KIND: Final = {"group": "argoproj.io", "version": "v1alpha1", "kind": "WorkflowTemplate"}
_CRON_KIND: Final = {"group": "argoproj.io", "version": "v1alpha1", "kind": "CronWorkflow"}
_STRICT: Final = {"deadlocks": "Deny", "unknownReferences": "Deny", "requireDefined": True}
_KINDS: Final = {"kinds": ["Workflow", "WorkflowTemplate", "CronWorkflow"]}
_DB: Final = {"semaphore": {"configMap": "locks", "key": "db"}}
_SEMAPHORES: Final = [
    {"configMap": "locks", "key": "db", "limit": 2},
    *({"configMap": "locks", "key": f"key-{number}", "limit": 1} for number in range(400)),
]

_PARAMETERS: Final = [f"{{{{workflow.parameters.p{number}}}}}" for number in range(16)]
_GROUPS: Final = [
    {"name": f"g{number}", "key": "/".join(_PARAMETERS[number:] + _PARAMETERS[:number])}
    for number in range(16)
]

GROUPED: Final = quota("Queue", name="grouped", groups=_GROUPS)
DIRECT: Final = (
    EVERYTHING
    + GROUPED
    + lock_policy(
        match=_KINDS,
        semaphores=_SEMAPHORES,
        inject=[{"name": "all", "templates": {"names": ["work-*"]}, "lock": _DB}],
        validate=_STRICT,
    ).replace("name: locks", "name: strict", 1)
)
"""Policies of every effect, with locks put in place."""
STRUCTURAL: Final = lock_policy(
    match=_KINDS,
    semaphores=_SEMAPHORES,
    inject=[
        {"name": "around", "templates": {"names": ["work-*"]}, "lock": _DB, "strategy": "Wrapper"},
        {
            "name": "copy",
            "templates": {"names": ["*"], "tasks": ["b*"]},
            "lock": {"mutex": "m"},
            "strategy": "Clone",
        },
        {
            "name": "choice",
            "templates": {"names": ["work-*"]},
            "lock": {"mutex": "chosen"},
            "when": "'{{workflow.parameters.p}}' == 'x'",
            "strategy": "Wrapper",
        },
    ],
    validate=_STRICT,
)
"""Policies that make copies and layers."""


def fill(size: int, one: Callable[[int], Any]) -> list[Any]:
    """Return so many values of `one` that they take about `size` bytes together."""
    each = len(msgspec.json.encode(one(123_456))) + 1
    return [one(number) for number in range(max(1, size // each))]


def mutex(name: str) -> Json:
    """Return a block with one mutex."""
    return {"mutexes": [{"name": name}]}


def leaf(name: str, **more: Any) -> Json:
    """Return a template that runs a container."""
    return {"name": name, "container": {"image": "i"}, **more}


def calling(name: str, *called: str, **more: Any) -> Json:
    """Return a template with steps that call others at once."""
    return {
        "name": name,
        "steps": [[{"name": f"b{n}", "template": each} for n, each in enumerate(called)]],
        **more,
    }


def templates(entry: str, made: list[Json], **more: Any) -> Json:
    """Return the spec with these templates."""
    return {"entrypoint": entry, "templates": made, **more}


def containers(size: int) -> Json:
    """Many templates that a rule selects."""
    return templates("work-0", fill(size, lambda n: leaf(f"work-{n}")))


def chain(size: int) -> Json:
    """Many templates, each of which calls the next."""
    return templates("work-0", fill(size, lambda n: calling(f"work-{n}", f"work-{n + 1}")))


def locked_chain(size: int) -> Json:
    """The same with a lock of its own on each."""
    made = fill(size, lambda n: calling(f"t{n}", f"t{n + 1}", synchronization=mutex(f"m{n}")))
    return templates("t0", made)


def ladder(size: int) -> Json:
    """Locked templates of two rails: each calls both of the next rung."""

    def rung(n: int) -> Json:
        level = n // 2 + 1
        return calling(f"t{n}", f"t{2 * level}", f"t{2 * level + 1}", synchronization=mutex(f"m{n}"))

    return templates("t0", fill(size, rung))


def conditional_ladder(size: int) -> Json:
    """The same of DAGs whose tasks run in some runs only, and locks that come again."""

    def rung(n: int) -> Json:
        level = n // 2 + 1
        tasks = [
            {"name": "check", "template": "leaf", "when": "{{workflow.parameters.p}} == x"},
            {"name": "b0", "template": f"t{2 * level}", "depends": "check.Succeeded"},
            {"name": "b1", "template": f"t{2 * level + 1}", "depends": "check.Skipped || check.Omitted"},
        ]
        return {"name": f"t{n}", "dag": {"tasks": tasks}, "synchronization": mutex(f"m{n % 97}")}

    return templates("t0", [leaf("leaf"), *fill(size, rung)])


def one_lock_chain(size: int) -> Json:
    """A chain on which every template takes the same lock again."""
    return templates("t0", fill(size, lambda n: calling(f"t{n}", f"t{n + 1}", synchronization=mutex("one"))))


def circles(size: int) -> Json:
    """Pairs of locks that are nested both ways."""

    def pair(n: int) -> Json:
        return calling(
            f"t{n}", f"u{(n * 7) % 1000}", f"u{(n * 13) % 1000}", synchronization=mutex(f"m{n % 1000}")
        )

    inner = [leaf(f"u{n}", synchronization=mutex(f"m{n}")) for n in range(1000)]
    made = [*fill(size, pair), *inner]
    names = [each["name"] for each in made]
    return templates("main", [calling("main", *names), *made])


def tangle(size: int) -> Json:
    """Templates that call each other in one large circle, each with many locks."""

    def knot(n: int) -> Json:
        locks = {"mutexes": [{"name": f"m{(n * 31 + k) % 5000}"} for k in range(20)]}
        return calling(f"t{n}", f"t{n + 1}", f"t{n // 2}", "t0", synchronization=locks)

    return templates("t0", fill(size, knot))


def parameterised(size: int) -> Json:
    """Templates whose locks are named by an input that every caller gives another value."""

    def caller(n: int) -> Json:
        given = {"parameters": [{"name": "x", "value": f"{{{{inputs.parameters.x}}}}-{n}"}]}
        steps = [{"name": f"s{k}", "template": f"t{n + k + 1}", "arguments": given} for k in range(3)]
        return {
            "name": f"t{n}",
            "inputs": {"parameters": [{"name": "x"}]},
            "steps": [steps],
            "synchronization": mutex("lock-{{inputs.parameters.x}}"),
        }

    return templates("t0", fill(size, caller), arguments={"parameters": [{"name": "x", "value": "v"}]})


def loops(size: int) -> Json:
    """Nested loops over items that are written down, on which the names of locks depend."""
    passed = {"parameters": [{"name": "x", "value": "{{inputs.parameters.x}}-{{item}}"}]}

    every: tuple[Json, ...] = (
        {"withSequence": {"count": "1000000"}},
        {"withItems": [f"value-{k}" for k in range(60)]},
        {"withParam": "[" + ",".join(f'"value-{k}"' for k in range(60)) + "]"},
    )

    def caller(n: int) -> Json:
        steps = [
            {"name": f"s{k}", "template": f"t{n + k + 1}", "arguments": passed, **loop}
            for k, loop in enumerate(every)
        ]
        return {
            "name": f"t{n}",
            "inputs": {"parameters": [{"name": "x"}]},
            "steps": [steps],
            "synchronization": mutex("lock-{{inputs.parameters.x}}"),
        }

    return templates("t0", fill(size, caller), arguments={"parameters": [{"name": "x", "value": "v"}]})


def hooked(kind: str) -> Make:
    """Tasks or steps side by side that have locks, items, and hooks with locks, each with many below it."""

    def one(n: int) -> Json:
        hooks = {"told": {"template": f"t{n}", "expression": "x"}, "exit": {"template": f"t{n + 1}"}}
        return {"name": f"a{n}", "template": f"t{n}", "withItems": [1, 2], "hooks": hooks}

    def rung(n: int) -> Json:
        below = [{"name": "x", "template": f"t{n + 2}"}, {"name": "y", "template": f"t{n + 3}", "when": "z"}]
        return {"name": f"t{n}", "steps": [below], "synchronization": mutex(f"m{n % 50}")}

    def made(size: int) -> Json:
        calls, rungs = fill(size // 2, one), fill(size // 2, rung)
        main = {"dag": {"tasks": calls}} if kind == "dag" else {"steps": [calls]}
        return templates("main", [{"name": "main", **main}, *rungs])

    made.__name__ = f"hooked_{kind}"
    return made


def waiting_parents(size: int) -> Json:
    """Templates that create Workflows with many locks and wait for them, below locks of their own."""
    locks = "".join(f"  - {{name: m{n}}}\\n" for n in range(20))
    head = "apiVersion: argoproj.io/v1alpha1\\nkind: Workflow\\nspec:\\n synchronization:\\n  mutexes:\\n"

    def maker(n: int) -> Json:
        manifest = (head + locks).replace("\\n", "\n") + f" # {n}"
        resource = {"action": "create", "successCondition": "a == b", "manifest": manifest}
        return {"name": f"t{n}", "resource": resource, "synchronization": mutex(f"m{n}")}

    made = fill(size, maker)
    steps = [{"name": f"s{n}", "template": f"t{n}"} for n in range(len(made))]
    return templates("t", [{"name": "t", "steps": [steps], "synchronization": mutex("m")}, *made])


def tags(size: int) -> Json:
    """One lock with a name of nothing but tags, and values for them."""
    text = "".join(fill(size // 2, lambda n: f"{{{{workflow.parameters.p{n}}}}}"))
    given = fill(size // 2, lambda n: {"name": f"p{n}", "value": "v"})
    main = leaf("main", synchronization=mutex(text))
    return templates("main", [main], arguments={"parameters": given})


def open_tags(size: int) -> Json:
    """Names of locks of braces that nobody closes, and of the signs that are looked for."""
    words = ("{{", "{{=", "{{= a ? 'b' : ", "@", "{{a@", "}}{{", "-lk0000")
    length = min(size, 100_000) // 8  # Each brace counts as a map, of which a body may have so many.
    texts = [word * (length // len(word)) for word in words]
    refs = [{"configMapKeyRef": {"name": "locks", "key": "{{" + text}} for text in texts]
    locks = {"semaphores": refs, "mutexes": [{"name": "{{" + text} for text in texts]}
    inner = leaf("work-1", synchronization=locks)
    return templates("main", [inner, calling("main", "work-1", synchronization=locks)])


def used_texts(size: int) -> Json:
    """Texts in which uses of tasks are looked for: words without an end, and almost a use again and again."""
    texts = ["a" * (size // 3), "tasks." * (size // 18), "a." * (size // 6)]
    calls = [{"name": f"b{n}", "template": "work-1", "depends": each} for n, each in enumerate(texts)]
    return templates("main", [leaf("work-1"), {"name": "main", "dag": {"tasks": calls}}])


def many_tasks(size: int) -> Json:
    """One DAG whose tasks wait for each other in a row."""

    def task(n: int) -> Json:
        return {"name": f"b{n}", "template": "work-1", "depends": f"b{n - 1}.Succeeded || b{n - 1}.Skipped"}

    return templates("main", [leaf("work-1"), {"name": "main", "dag": {"tasks": fill(size, task)[1:]}}])


def dense_tasks(size: int) -> Json:
    """One DAG in which each task waits for all before it."""
    tasks: list[Json] = []
    used = 0
    for n in count():
        waits = [f"b{k}" for k in range(n)]
        tasks.append({"name": f"b{n}", "template": "work-1", "dependencies": waits, "when": "{{x}}"})
        used += 10 * n + 60
        if used > size:
            break
    return templates("main", [leaf("work-1"), {"name": "main", "dag": {"tasks": tasks}}])


def targets(size: int) -> Json:
    """One DAG with a target of many names."""
    tasks = fill(size * 3 // 4, lambda n: {"name": f"b{n}", "template": "work-1"})
    target = " ".join(each["name"] for each in tasks)
    return templates("main", [leaf("work-1"), {"name": "main", "dag": {"tasks": tasks, "target": target}}])


def long_depends(text: Callable[[int], str]) -> Make:
    """Return what makes a DAG whose one task waits for a long expression."""

    def made(size: int) -> Json:
        tasks = [
            {"name": "b0", "template": "work-1"},
            {"name": "b1", "template": "work-1", "depends": text(size)},
        ]
        return templates("main", [leaf("work-1"), {"name": "main", "dag": {"tasks": tasks}}])

    return made


def many_steps(size: int) -> Json:
    """One template with very many steps, half of which call what does not exist."""

    def step(n: int) -> list[Json]:
        return [{"name": f"b{n}", "template": "work-1" if n % 2 else f"none-{n}"}]

    return templates("main", [leaf("work-1"), {"name": "main", "steps": fill(size, step)}])


def called_everywhere(size: int) -> Json:
    """Many callers of templates that each need another lock."""
    made = fill(size // 2, lambda n: leaf(f"work-{n}"))
    step = fill(size // 2, lambda n: [{"name": f"{'ab'[n % 2]}{n}", "template": f"work-{n % len(made)}"}])
    return templates("main", [*made, {"name": "main", "steps": step}])


def misplaced(size: int) -> Json:
    """Steps that carry locks."""
    steps = fill(size, lambda n: [{"name": f"s{n}", "template": "work-1", "synchronization": {}}])
    return templates("main", [leaf("work-1"), {"name": "main", "steps": steps}])


def inline(size: int) -> Json:
    """Steps with templates that stand inline, with locks."""
    steps = fill(size, lambda n: [{"name": f"b{n}", "inline": leaf("", synchronization=mutex(f"m{n}"))}])
    return templates("main", [{"name": "main", "steps": steps, "synchronization": mutex("m")}])


def deep_inline(size: int) -> Json:
    """Templates that stand inline in each other, as deep as can be read, many times."""
    body = leaf("", synchronization=mutex("m"))
    for level in range(60):
        body = {"steps": [[{"name": f"b{level}", "inline": body}]], "synchronization": mutex(f"m{level}")}
    made = fill(size, lambda n: {"name": f"t{n}", **body})
    return templates("main", [calling("main", *(each["name"] for each in made)), *made])


def undefined_locks(size: int) -> Json:
    """Semaphores whose keys nobody defined, each near to one that is."""
    refs = fill(size, lambda n: {"configMapKeyRef": {"name": "locks", "key": f"kex-{n}"}})
    return templates("main", [leaf("main")], synchronization={"semaphores": refs})


def locks_on_one(size: int) -> Json:
    """One template with very many locks below another with as many."""
    refs = fill(size // 2, lambda n: {"name": f"m{n}"})
    inner = leaf("inner", synchronization={"mutexes": refs})
    return templates("main", [inner, calling("main", "inner", synchronization={"mutexes": refs[::-1]})])


def repeated_locks(size: int) -> Json:
    """The same lock again and again."""
    refs = fill(size, lambda _: {"name": "m"})
    return templates("main", [leaf("main", synchronization={"mutexes": refs})])


def references(size: int) -> Json:
    """Steps that call templates of other objects that do not exist."""

    def step(n: int) -> list[Json]:
        return [{"name": f"b{n}", "templateRef": {"name": f"other-{n}", "template": "t"}}]

    return templates("main", [{"name": "main", "steps": fill(size, step)}])


def hooks(size: int) -> Json:
    """Very many hooks of the Workflow."""
    made = {
        f"h{n}": each for n, each in enumerate(fill(size, lambda n: {"template": f"t{n}", "expression": "x"}))
    }
    return templates("main", [leaf("main"), leaf("work-1")], hooks=made)


def items(size: int) -> Json:
    """A loop over very many items."""
    steps = [[{"name": "s", "template": "work-1", "withItems": fill(size, lambda n: {"a": n})}]]
    return templates("main", [leaf("work-1"), {"name": "main", "steps": steps}])


def parameters(size: int) -> Json:
    """Very many parameters of the Workflow and of a template."""
    given = fill(size // 2, lambda n: {"name": f"p{n}", "value": n})
    main = leaf("main", inputs={"parameters": given}, synchronization=mutex("m-{{inputs.parameters.p1}}"))
    return templates("main", [main], arguments={"parameters": given})


def group_values(size: int) -> Json:
    """Arguments that are parts of keys: as long as may be, of what is written in another form, among many."""
    long = [{"name": f"p{number}", "value": "%/\x00" * (size // 160)} for number in range(16)]
    others = fill(size // 3, lambda n: {"name": f"o{n}", "value": n})
    return templates("main", [leaf("main")], arguments={"parameters": [*others, *long]})


def wrong_templates(size: int) -> Json:
    """A list of templates that are none."""
    return templates("main", fill(size, lambda _: 1))


def wrong_fields(size: int) -> Json:
    """Fields of a wrong type, and fields that Argo does not know, on many templates."""
    made = fill(size, lambda n: {"name": n, "contaner": {}, "daemon": "yes", "parallelism": "1"})
    return templates("main", made)


def lost_values(size: int) -> Json:
    """Parameters whose value is a list, of which Argo makes an empty string."""
    given = fill(size, lambda n: {"name": f"p{n}", "value": [n]})
    return templates("main", [leaf("main")], arguments={"parameters": given})


def unknown_fields(size: int) -> Json:
    """Fields that nobody knows, with nothing wrong beside them but one."""
    made = {f"field{n}": n for n in range(size // 20)}
    return templates("main", [leaf("main", **made)], priority=3.0)


def lost_locks(size: int) -> Json:
    """Locks in blocks that hold none, and words that are nearly theirs, deep inside each other."""
    inner: Json = {"container": {"mutexes": [1], "synchronisatio": {"x": 1}}}
    for _ in range(40):
        inner = {"dag": {"mutex": 1, "tasks": [{"name": "t", "semaphore": 1, "inline": inner}]}}
    return {"entrypoint": "a", "templates": fill(size, lambda n: {"name": f"a{n}", **inner})}


def nested(opening: str, closing: str) -> Make:
    """Return what makes a field of values that are nested as deep as anybody reads, as often as may be."""
    one = msgspec.Raw((opening * 300 + "1" + closing * 300).encode())

    def made(size: int) -> Json:
        most = min(size // 18, 390_000) // 300 * len(one)  # Of more lists and maps nothing is read.
        text = "x" * max(0, size - most)
        return templates(
            "main", [leaf("main")], wide=fill(min(size, most), lambda _: one), text=text, priority=3.0
        )

    return made


def long_text(size: int) -> Json:
    """One very long text wherever a name stands."""
    text = "x-" * (size // 24)
    locks = {"semaphores": [{"configMapKeyRef": {"name": text, "key": text}}], "mutexes": [{"name": text}]}
    main = {"name": text, "container": {"image": text}, "synchronization": locks}
    steps = [[{"name": text, "template": text, "when": text, "withParam": text}]]
    return templates(text, [main, {"name": "main", "steps": steps}], onExit=text, priority=3.0)


def volumes(size: int) -> Json:
    """Very many volumes, claims and mounts."""
    made = fill(size // 2, lambda n: {"name": f"v{n}", "persistentVolumeClaim": {"claimName": f"c{n}"}})
    mounts = fill(size // 2, lambda n: {"name": f"v{n}", "mountPath": "/x"})
    main = {"name": "work-1", "container": {"image": "i", "volumeMounts": mounts}}
    return templates("work-1", [main], volumes=made)


def written_metadata(size: int) -> Json:
    """Labels and annotations that Argo is to write."""
    many = {f"lockkeeper.dev/{n}": "v" for n in range(size // 90)}
    return templates("main", [leaf("main")], workflowMetadata={"labels": many, "annotations": many})


def numbers(size: int) -> Json:
    """Numbers of very many digits where a whole number is wanted."""
    digits = msgspec.Raw(b"9" * min(size // 3, 2_000_000))
    return templates("main", [leaf("main", parallelism=digits)], parallelism=digits, arguments={"x": digits})


SPECS: Final[dict[str, Make]] = {
    each.__name__: each
    for each in (
        containers,
        chain,
        locked_chain,
        ladder,
        conditional_ladder,
        one_lock_chain,
        circles,
        tangle,
        parameterised,
        loops,
        waiting_parents,
        hooked("dag"),
        hooked("steps"),
        tags,
        open_tags,
        used_texts,
        many_tasks,
        dense_tasks,
        targets,
        many_steps,
        called_everywhere,
        misplaced,
        inline,
        deep_inline,
        undefined_locks,
        locks_on_one,
        repeated_locks,
        references,
        hooks,
        items,
        parameters,
        group_values,
        wrong_templates,
        wrong_fields,
        lost_values,
        unknown_fields,
        lost_locks,
        long_text,
        volumes,
        written_metadata,
        numbers,
    )
} | {
    "depends_row": long_depends(lambda size: " && ".join(["b0"] * (size // 6))),
    "depends_names": long_depends(lambda size: " || ".join(f"b{n}.Skipped" for n in range(size // 18))),
    "depends_parentheses": long_depends(lambda size: "(" * (size // 2) + "b0" + ")" * (size // 2)),
    "depends_nots": long_depends(lambda size: "!" * size + "b0"),
    "depends_spaces": long_depends(lambda size: " " * size + "?"),
    "nested_lists": nested("[", "]"),
    "nested_maps": nested('{"a":', "}"),
}
"""Specs of a Workflow, a WorkflowTemplate or a CronWorkflow."""


def create(spec: Json, **metadata: Any) -> Json:
    """Return the review of a new Workflow."""
    obj = workflow()
    return admission_review({**obj, "metadata": {**obj["metadata"], **metadata}, "spec": spec})


def of_template(spec: Json) -> Json:
    """Return the review of a new WorkflowTemplate."""
    return admission_review({**workflow(), "kind": "WorkflowTemplate", "spec": spec}, kind=_TEMPLATE_KIND)


def of_schedule(spec: Json) -> Json:
    """Return the review of a new CronWorkflow."""
    inside = {"schedules": ["* * * * *"], "workflowSpec": spec}
    return admission_review({**workflow(), "kind": "CronWorkflow", "spec": inside}, kind=_CRON_KIND)


def edit(spec: Json, after: Json, **more: Any) -> Json:
    """Return the review of an update of a Workflow that runs: from one spec to the other."""
    obj: Json = {**workflow(), **more}
    return admission_review({**obj, "spec": after}, operation="UPDATE", oldObject={**obj, "spec": spec})


def edited(spec: Json) -> Json:
    """Return the review of an edit of something small beside all the rest."""
    return edit({**spec, "parallelism": 3}, {**spec, "parallelism": 2, "onExit": "work-1"})


def edited_template(spec: Json) -> Json:
    """Return the review of an edit of a WorkflowTemplate."""
    obj: Json = {**workflow(), "kind": "WorkflowTemplate"}
    after = {**obj, "spec": {**spec, "onExit": "none"}}
    return admission_review(after, operation="UPDATE", oldObject={**obj, "spec": spec}, kind=_TEMPLATE_KIND)


def retried(spec: Json) -> Json:
    """Return the review of a Workflow that is made to run again, with its stored spec."""
    over = {
        "metadata": {"name": "w", "namespace": "team", "labels": {"workflows.argoproj.io/completed": "true"}}
    }
    old = {**workflow(), **over, "spec": spec, "status": {"phase": "Failed"}}
    new = {
        **workflow(),
        "metadata": {"name": "w", "namespace": "team"},
        "spec": spec,
        "status": {"phase": ""},
    }
    return admission_review(new, operation="UPDATE", oldObject=old)


def with_status(status: Callable[[int, str], Json]) -> Callable[[int], Json]:
    """Return what makes an update that changes a status in all of its parts."""

    def made(size: int) -> Json:
        obj: Json = {**workflow(), "metadata": {"name": "w", "namespace": "team", "labels": {"app": "a"}}}
        old, new = {**obj, "status": status(size // 2, "a")}, {**obj, "status": status(size // 2, "b")}
        return admission_review(new, operation="UPDATE", oldObject=old)

    return made


def nodes(size: int, word: str) -> Json:
    """Return a status with very many suspended nodes, each with outputs."""
    made = fill(
        size,
        lambda n: {
            "id": f"n{n}",
            "type": "Suspend",
            "phase": word,
            "outputs": {"parameters": [{"name": word, "value": n}]},
            "children": [f"n{n + 1}"],
        },
    )
    return {"phase": "Running", "nodes": {each["id"]: each for each in made}}


def stored(size: int, word: str) -> Json:
    """Return a status with stored templates that differ."""
    made = {each["name"]: each for each in fill(size, lambda n: leaf(f"t{n}{word}"))}
    return {"phase": "Running", "storedTemplates": made}


def parts(size: int, word: str) -> Json:
    """Return a status of very many parts that nobody knows."""
    return {f"part{n}": {word: n} for n in range(size // 24)}


def labels(size: int) -> Json:
    """Labels, annotations and owners without end."""
    many = {f"label-{n}": "v" for n in range(size // 60)}
    owners = fill(
        size // 3, lambda n: {"apiVersion": "v1", "kind": "Workflow", "name": f"w{n}", "uid": f"{n}"}
    )
    return create(workflow()["spec"], labels=many, annotations=many, ownerReferences=owners)


def new_labels(size: int) -> Json:
    """An update that changes all labels and annotations, marks of ours among them."""

    def of(word: str) -> Json:
        many = {f"lockkeeper.dev/{n}": word for n in range(size // 130)}
        return {"name": "w", "namespace": "team", "labels": many, "annotations": many}

    old, new = {**workflow(), "metadata": of("a")}, {**workflow(), "metadata": of("b")}
    return admission_review(new, operation="UPDATE", oldObject=old)


def _reviews() -> Iterator[tuple[str, Callable[[int], Json]]]:
    for name, make in SPECS.items():
        yield f"create {name}", lambda size, make=make: create(make(size))  # type: ignore[misc]  # A default binds it.
        yield f"template {name}", lambda size, make=make: of_template(make(size))  # type: ignore[misc]  # The same.
        yield f"schedule {name}", lambda size, make=make: of_schedule(make(size))  # type: ignore[misc]  # The same.
        yield f"edit {name}", lambda size, make=make: edited(make(size // 2))  # type: ignore[misc]  # The same.
        yield f"edit template {name}", lambda size, make=make: edited_template(make(size // 2))  # type: ignore[misc]  # The same.
        yield f"retry {name}", lambda size, make=make: retried(make(size // 2))  # type: ignore[misc]  # The same.
    for status in (nodes, stored, parts):
        yield f"status {status.__name__}", with_status(status)
    yield "create labels", labels
    yield "update labels", new_labels


WORST: Final = dict(_reviews())
"""Reviews of Argo's objects, of about the size that is asked for."""
