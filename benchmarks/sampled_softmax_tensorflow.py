"""TensorFlow's sampled softmax with Adagrad, in a process and an environment of its own.

    PYTHON benchmarks/sampled_softmax_tensorflow.py ARM V N S SIZE

PYTHON is that of an environment with tensorflow-cpu (pip install -r benchmarks/tensorflow.txt).
Started and spoken to by benchmarks/sampled_softmax.py, as sampled_softmax_steps.py is. The arm
"tensorflow" takes the Adagrad of TensorFlow 1, whose sparse kernel is the fastest there;
"tensorflow, Keras" takes that of Keras 3.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

chance = np.random.default_rng(0)


def peak_mb() -> float:
    """The most memory that this process has held so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def made(arm: str, V: int, N: int, S: int, size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A step: forward, backward to weight, bias and hidden, and the optimiser."""
    weight = tf.Variable(tf.random.normal((V, size), stddev=size**-0.5, seed=0))
    bias = tf.Variable(tf.zeros((V,)))
    hidden = tf.constant(chance.standard_normal((N, size)).astype("float32"))
    if arm == "tensorflow":
        optimizer = tf.compat.v1.train.AdagradOptimizer(1e-3)
    else:
        optimizer = tf.keras.optimizers.Adagrad(1e-3)

    @tf.function
    def step(targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            costs = tf.nn.sampled_softmax_loss(weight, bias, targets, hidden, S, V)
            loss = tf.reduce_mean(costs)
        to_weight, to_bias, to_hidden = tape.gradient(loss, [weight, bias, hidden])
        optimizer.apply_gradients([(to_weight, weight), (to_bias, bias)])
        return loss + 0 * to_hidden[0, 0]  # so that it is not left out

    return step


def targets(V: int, N: int) -> tf.Tensor:
    """Drawn by Zipf's law, (N, 1)."""
    drawn = np.exp(chance.random((N, 1)) * np.log(V + 1)) - 1
    return tf.constant(np.minimum(drawn.astype("int64"), V - 1))


def main() -> None:
    """Build the arm, then step whenever a line comes in."""
    arm, (V, N, S, size) = sys.argv[1], map(int, sys.argv[2:6])
    # The code is loaded now, and not counted as the tables' memory.
    made(arm, 256, 8, 8, 8)(targets(256, 8)).numpy()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = peak_mb()
    step = made(arm, V, N, S, size)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            wanted = targets(V, N)
            start = time.perf_counter()
            step(wanted).numpy()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "mb": peak_mb() - before}), flush=True)


if __name__ == "__main__":
    main()
