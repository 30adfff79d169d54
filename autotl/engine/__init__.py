"""Everything that needs torch: a worker process (`python -m autotl.engine`) and its client.

Importing this package or `autotl.engine.client` does not import torch.
"""
