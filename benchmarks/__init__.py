"""Measure this server beside other servers in one run, and compare them by ratios.

Ratios are used because machines are shared and noisy.

    python -m benchmarks [--quick] [--only deliveries] [--clients 2000] [--peers ours,node]

* ``servers``: this server and its peers as processes; ``storage``: their folders and Valkeys;
  ``peers/``, ``floor.c``: the peers' programs; ``floors``: durable writes without a server
* ``load``: clients over WebSocket; ``polling``: over long-polling; ``open_loop``: clients that
  publish on a schedule; ``http``: publishers over HTTP
* ``measurements`` lists all measurements; ``durability``, ``latency``, ``slow``, ``retention`` and
  ``recovery`` hold the longer ones
* ``figures``: the costs of a measurement; ``report``: tables of figures and ratios
* ``drops/``: delivery to clients whose networks go away; ``consumers/``: its clients, in Node.js
* ``results``: the saved figures; ``saving`` describes them, ``performance`` writes them into
  ``docs/performance.md``, ``plots`` draws them, and ``versions`` are those of the peers
"""
