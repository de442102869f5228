"""Speed, as ratios against peers in one run. Machines are shared and noisy.

    python -m benchmarks [--quick] [--only deliveries] [--clients 2000] [--peers ours,node]

* ``servers``: this server and its peers as processes; ``places``: their folders and Valkeys;
  ``peers/``, ``floor.c``: their programs; ``floors``: durable writes without a server
* ``load``: clients over WebSocket; ``polling``: long-polling; ``open_loop``: on a schedule;
  ``http``: publishers over HTTP
* ``measurements``, and ``durability``, ``latency``, ``slow``, ``retention``: what is measured
* ``figures``, ``report``: how it is told
"""
