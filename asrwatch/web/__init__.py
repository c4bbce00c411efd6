"""The status page: what the daemon does and did, in a browser, with buttons to act.

How one adds a route: write a module with a function `routes(seen: Sight) -> list[Route]` (Starlette's `Route`;
plain `def` endpoints run in a worker thread, so they may read), and name it in `app.ROUTES`. `seen` is what pages
may look at: the settings, `seen.readers` (the database, read only), `seen.ask` (the daemon, by the questions of
`asrwatch.desk.questions`), `seen.engines`. Who may call: everybody who passed the gate (`guard.py`: the Host header
is one of ours, and the visitor has the token, if there is one; programs send `Authorization: Bearer TOKEN`). Paths in
`app.OPEN` need no token. Nothing here is imported before the daemon serves its page (`serving.py`).
"""
