"""From a finished run to a verified release on the Hub; scripts/publish.py is its command.

hub        the client, with timeout and retries; look at repositories, make them equal a folder, tag
bundle     what is pushed: licence texts, files; a base that is pushed too
checks     names, rights, licences, machine; the gates that the scores must pass
plan       the bundle, its version, all checks, and what a push would change; before training, `preflight`
publish    push, verify, tag, roll back
verify     load and ask a pushed commit, for a process of its own that imports little
exports    merged weights and GGUF files in repositories of their own
signing    sign a bundle, verify a signature
bom        the bill of materials
space      push the Space, wait for it, ask it
"""
