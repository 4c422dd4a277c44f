"""The template graph of an object, and the deadlocks that it shows before anything runs.

Templates come in; a graph goes out with every body that a run reaches and the locks held on the way there,
and from it the locks that are taken again below themselves, locks nested in both orders, and calls that never
end. What is not sure to happen is a warning, what is sure is a fault. Called by `lock_checks` for one object
and by `library` for all templates of a namespace. Next: `policy.core.lock_checks`, which makes reasons of
what was found.
"""
