"""Slots on a Ray cluster: each is an actor that holds the same worker process as on one machine.

=========  ==========================================================================================================
holder     the actor: a worker process on its machine
place      where on that machine lies what a request reads and writes, and what travels
folders    the folder of a run on a machine, and when it goes
travel     a file or folder as objects of Ray's store, and back
link       an actor as the engine sees it, in the place of a worker process
cluster    the machines: how many slots they give, actors, and objects that are put once
engine     the slots as an engine, from connecting to closing
=========  ==========================================================================================================

The actor reserves a processor share or a GPU, starts ``python -m autotl.engine`` beside itself and passes requests on.
Deadlines and cancellations are kept there, by the class that keeps them on one machine: a future of Ray does not stop
what it waits for. A machine need not see the run's folder. Where it does, work is done in it. Where it does not,
decoded images, weights and checkpoints travel through Ray's object store, once to a machine and when they are first
needed; what a trial writes comes back with its result. Predictions of the finished model, its detector of
out-of-distribution images and its explanations read files of the run's machine: on a cluster a worker there does them,
which starts with the run so that nothing waits for it at the end.

Actors belong to the run's process: Ray ends them when it is gone, and a worker ends with its actor.
"""

from __future__ import annotations

from autotl.engine.on_ray.engine import connect

__all__ = ["connect"]
