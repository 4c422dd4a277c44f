"""Locks and lock policies, compiled: names of locks, their limits, and the rules that put locks on templates.

The lock policies and ConfigMaps of a namespace come in (`lock_policies.compile_lock_policies`, called once by
`policies.snapshot`). Out go the policies and rules that apply (`rules`), which templates they select
(`template_selectors`, by what a Pod runs: `template_pods`), the semaphores that are defined and their limits
(`semaphore_definitions`), and the locks that a `synchronization` block takes (`block_locks`). Names are
written as Argo writes them; parameters are filled in as far as they are known. Nothing is refused here. All
rooms about locks use it. Next: `policy.core.lock_graph` for the calls between templates,
`policy.core.lock_checks` for what is wrong, `policy.core.injection` for adding locks to objects.
"""
