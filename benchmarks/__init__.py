"""Speed, as ratios against peers in one run. Machines are shared and noisy.

    python -m benchmarks [--quick] [--only deliveries] [--clients 2000] [--peers ours,node]

* ``servers``: this server and its peers as processes; ``peers/``, ``floor.c``: their programs
* ``load``: clients over WebSocket; ``polling``: clients over HTTP long-polling
* ``measurements``: what is measured; ``report``: how it is told
"""
