"""Join the weights of finished trials into one network."""

from __future__ import annotations

from autotl.budget import Allowance
from autotl.engine import batch_norm, train
from autotl.engine.model import read_weights
from autotl.engine.resolve import resolve
from autotl.engine.task import Outcome, Rows, Task
from autotl.engine.timing import latency
from autotl.errors import Declined, EngineError
from autotl.protocols import Checkpoint


def combine(task: Task, rows: Rows, allowance: Allowance) -> Outcome:
    """Join the weights of finished trials of the same network, and predict the judged rows."""
    session, strategy, parents = task.session, task.strategy, task.trial.parents
    if len(parents) < 2:
        raise Declined(f"it joins {' and '.join(strategy.parents)}, and there are not two trials of them")
    backbone = session.fresh(task.spec, task.size)
    if backbone.folded:
        raise Declined("batch norm is folded away in the weights, and trainings measure it in different ways")
    outcome = Outcome(
        model=task.network(backbone),
        precision=session.precision(backbone, training=True),
    )
    checkpoints = [
        Checkpoint(
            strategy=parent.strategy,
            score=parent.score,
            epochs=parent.epochs,
            weights=read_weights(session.folder, parent.model),
        )
        for parent in parents
    ]
    shapes = {name: tensor.shape for name, tensor in outcome.model.state_dict().items()}
    if any({n: w.shape for n, w in c.weights.items()} != shapes for c in checkpoints):
        raise Declined("the trials that it joins are of different networks")
    try:
        outcome.model.load_state_dict(dict(resolve(str(strategy.combine))(checkpoints)), strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise EngineError(
            f"{strategy.combine!r} returned something else than weights by name ({error}); expected those of one "
            "network, of backbone and head; correct it"
        ) from error
    setting = task.setting(outcome.precision)
    batch_norm.remeasure(outcome.model, rows.fitted, setting)
    outcome.course = train.Course(epochs=task.trial.epochs)
    outcome.predicted, _ = train.predict(outcome.model, rows.judged, setting)
    outcome.latency = latency(outcome.model, task, outcome.precision)
    return outcome
