"""The child process in which recordings are decoded and encoded; started by `studio.py`, never imported by it.

Everything hostile in a recording meets this process and no other: it has no environment, no network to speak
of, limits on time, memory and output, and the open recording as its standard input.
"""
