"""From a finished run to what is pushed and verified; scripts/publish.py is the command.

The bundle: licence, files, source, base. What is looked at first: wanted, versions, gates, preflight, rights, plan,
show; before_training, where there are no weights yet.
The push: push, readback and verify (a process of its own), golden, space, steps; rollback. All ask the Hub by hub.
"""
