"""Measure what users feel when their network goes away again and again.

    python -m benchmarks.drops

Consumers with stock clients reach a server through proxies. A publisher sends numbered events
over HTTP at a steady rate. The result is the share of events that arrived, how late, and how often
twice.

* ``servers``: this server and its peers, or a server at a URL; ``network``: the proxies
* ``run``: one run; ``tally``: its figures; ``../consumers``: the clients, in Node.js
"""
