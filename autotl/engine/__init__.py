"""Everything that needs torch, behind one door: a worker process (`python -m autotl.engine`) and its client.

Importing this package or `autotl.engine.client` does not import torch.
"""
