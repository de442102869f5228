"""Speed, as ratios against a peer in one run. Machines are shared and noisy."""
