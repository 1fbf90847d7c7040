"""Hides the differences between the libraries that run `fit`: Keras 3 on TensorFlow, JAX or torch, and tf_keras.

A host is imported only when a model of that host is given; the classes of the model show which host it belongs to.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import HostFunction, Model, Nest, Optimizer, Tensor, Value, Variable
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.optimizers import build_optimizer
from keras_lrscan.hosts.random_state import RandomStates, global_seed_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Host", "keep_history", "keep_next_fit_first"]

STATEFUL_RANDOM_OPS = frozenset(
    {
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    }
)
"""TensorFlow kernels that keep a counter inside the traced function, where no snapshot can read it."""

NO_GLOBAL_SEED = 87654321
"""First number that `tf.compat.v1.get_seed` returns for the seed of an operation if no global seed is set."""

TRAIN_FUNCTIONS = ("train_function", "train_tf_function")
"""Attributes of a model that hold its compiled training step."""

_MISSING = object()


class Host:
    """Adapts one model to a common interface, whichever library runs its `fit`.

    Args:
        model: A compiled model of Keras 3 or tf_keras.
        optimizer: The optimizer to scan, for models that train with several. Defaults to the one that the model was
            compiled with.

    Raises:
        ScanError: If `model` is not a compiled model of Keras 3 or tf_keras, or if `optimizer` cannot be scanned.
    """

    def __init__(self, model: Model, optimizer: Optimizer = None) -> None:
        families = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
        self.model = model
        self.is_tf_keras = "tf_keras" in families
        if not families & {"keras", "tf_keras"}:
            msg = f"Expected a model of Keras 3 or tf_keras. Received: model of type {type(model).__name__!r}."
            raise ScanError(msg)
        if getattr(model, "optimizer", None) is None:
            msg = (
                "Expected a compiled model with an optimizer. Received: model.optimizer=None. "
                "Call `model.compile(optimizer=..., loss=...)` first."
            )
            raise ScanError(msg)
        self.library = importlib.import_module("tf_keras" if self.is_tf_keras else "keras")
        steps = self._steps_variable
        self._steps_per_execution = int(
            steps.numpy() if steps is not None else getattr(model, "steps_per_execution", 1)
        )
        self.backend: str = "tensorflow" if self.is_tf_keras else self.library.backend.backend()
        self.optimizer: Any = model.optimizer if optimizer is None else self._checked(optimizer)
        self._is_traced_through = False
        self.was_traced = any(_traces(getattr(model, "train_function", None)))

    def _checked(self, optimizer: Optimizer) -> Value:
        if not all(hasattr(optimizer, name) for name in ("apply_gradients", "learning_rate", "variables")):
            msg = (
                "Argument `optimizer` must be an optimizer that the model trains with, such as "
                f"`model.generator_optimizer`. Received: optimizer={optimizer!r:.80}."
            )
            raise ScanError(msg)
        if self.backend == "jax" and optimizer is not self.model.optimizer:
            msg = (
                "Expected the optimizer that the model was compiled with, because on JAX Keras passes no other to the "
                f"training step. Received: optimizer={type(optimizer).__name__}, which is not `model.optimizer`."
            )
            raise ScanError(msg)
        return optimizer

    def own(self, name: str) -> Callable[..., Any]:
        """Returns a method of the host's `Model` class bound to this model, bypassing overrides in subclasses.

        Batches taken from `fit` have already been processed by the subclass, as by the preprocessing of KerasHub's
        tasks. Its own `train_on_batch` would process them a second time.
        """
        return functools.partial(getattr(self.library.Model, name), self.model)

    @property
    def framework(self) -> str:
        """Name and version of the library, such as `"keras 3.15.1"`."""
        return f"{'tf_keras' if self.is_tf_keras else 'keras'} {self.library.__version__}"

    @property
    def strategy(self) -> Value:
        """The `tf.distribute` strategy with several replicas or workers, or `None`."""
        strategy = getattr(self.model, "distribute_strategy", None)
        if strategy is None:
            return None
        has_workers = getattr(strategy, "cluster_resolver", None) is not None
        return strategy if strategy.num_replicas_in_sync > 1 or has_workers else None

    @property
    def is_built(self) -> bool:
        """Whether every weight exists; on TensorFlow, a model without a known input gets its weights in its first step.

        Layers that a model holds but never calls stay without weights, so they are checked only before the first step
        or `build`.
        """
        if self._is_traced_through or self.backend != "tensorflow":
            return self._is_traced_through or bool(self.model.built)
        return bool(self.model.built) and self._has_built_layers

    @property
    def _has_built_layers(self) -> bool:
        return all(layer.built for layer in layers_in(self.model, include_self=False))

    def build(self, iterator: Value) -> None:
        """Creates the model's weights from the shapes of the batches that `iterator` yields.

        A model that cannot be called on these shapes, such as one that trains a generator and a discriminator, is
        accepted if all its layers have their weights.

        Raises:
            ScanError: If the weights cannot be created from the shapes.
        """
        specs = getattr(iterator, "element_spec", None)
        try:
            inputs = self.library.utils.unpack_x_y_sample_weight(specs)[0]
            if self.is_tf_keras:
                self._trace_call(inputs)
            else:
                self.model(self.library.tree.map_structure(self._symbolic_input, inputs))
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            if not (layers_in(self.model, include_self=False) and self._has_built_layers):
                msg = (
                    "Expected a model with weights that can be created from the shapes of its batches. Received: "
                    f"element_spec={specs}. Call the model, or each of its parts, on one batch before the scan."
                )
                raise ScanError(msg) from error
        self._is_traced_through = True

    def build_optimizer(self) -> None:
        """Creates the optimizer's slots."""
        build_optimizer(self.optimizer, self.model.trainable_variables)

    def build_in_step(self, optimizer: Optimizer, variables: list[Any]) -> None:
        """Creates the slots of another `optimizer` as a first training step does: on TensorFlow, in a traced function.

        In a traced function the slots keep the values of their initializers; assignments that `build` makes afterwards
        have no effect.
        """
        if self.backend == "tensorflow" and not self.runs_python:
            sys.modules["tensorflow"].function(lambda: build_optimizer(optimizer, variables)).get_concrete_function()
        else:
            build_optimizer(optimizer, variables)

    def sync(self) -> None:
        """Copies the state that JAX keeps outside of the variables during training back into the variables."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def make_rate_variable(self, optimizer: Optimizer) -> Variable:
        """Returns a new scalar variable that the train function of this host reads as the rate of `optimizer`."""
        if self.backend == "jax":
            return optimizer.add_variable(shape=(), name="lrscan_rate")
        if not self.is_tf_keras:
            variable, aggregation = self.library.Variable, "only_first_replica"
        else:
            tensorflow = sys.modules["tensorflow"]
            variable, aggregation = tensorflow.Variable, tensorflow.VariableAggregation.ONLY_FIRST_REPLICA
        return self._in_scope(functools.partial(variable, 1.0, trainable=False, aggregation=aggregation))

    def regularization_loss(self) -> float | None:
        """Returns the sum of the penalties on the weights, in the unit of the loss, or `None` without penalties."""
        if not self.is_tf_keras:
            weights = self.model.trainable_variables
            terms = [w.regularizer(w) for w in weights if getattr(w, "regularizer", None) is not None]
        else:
            layers = layers_in(self.model)  # `losses` would include activity penalties
            terms = [make() for layer in layers for make in getattr(layer, "_callable_losses", [])]
        return sum(float(term.detach() if hasattr(term, "detach") else term) for term in terms) if terms else None

    def has_stateful_randomness(self, train_function: HostFunction) -> bool:
        """Returns whether a traced `train_function` holds kernels whose random state cannot be restored."""
        if self.backend != "tensorflow":
            return False
        return any(STATEFUL_RANDOM_OPS & _op_types(trace) for trace in _traces(train_function))

    def _captures_global_generator(self, train_function: HostFunction) -> bool:
        """Returns whether `train_function` was traced during the scan and draws from Keras's global generator."""
        generator = global_seed_generator()
        if self.was_traced or self.backend != "tensorflow" or generator is None:
            return False
        seed = generator.state.value
        return any(variable is seed for trace in _traces(train_function) for variable in trace.graph.variables)

    def other_variables(self, train_function: HostFunction, known: Iterable[Any]) -> list[Any]:
        """Returns the variables outside of `known` that a traced `train_function` uses, such as seeds."""
        if self.backend != "tensorflow" or self.strategy is not None:
            return []
        ours = {id(variable if callable(variable.value) else variable.value) for variable in known}
        found = {id(variable): variable for trace in _traces(train_function) for variable in trace.graph.variables}
        return [variable for key, variable in found.items() if key not in ours]

    def buffers(self) -> list[BufferVariable]:
        """Returns the buffers of torch modules in the model, wrapped as variables."""
        if self.backend != "torch":
            return []
        tracked = {id(variable.value) for variable in self.model.variables}
        held = {id(tensor): tensor for layer in layers_in(self.model) for tensor in layer.buffers()}
        return [BufferVariable(tensor) for key, tensor in held.items() if key not in tracked]

    @property
    def batches_per_execution(self) -> int:
        """Batches that `fit` currently expects one call of the train function to process."""
        steps = self._steps_variable if self._steps_per_execution > 1 else None
        return self._steps_per_execution if steps is None else int(steps.numpy())

    @property
    def _steps_variable(self) -> Variable:
        """tf_keras's variable for `batches_per_execution`, which it lowers at the end of an epoch, or `None`."""
        return getattr(self.model, "_steps_per_execution", None) if self.is_tf_keras else None

    @property
    def repeats_shuffle(self) -> bool:
        """Whether `fit` shuffles arrays in the same order in every epoch.

        Keras 3 on TensorFlow draws the order in a function that starts again in every epoch. With TensorFlow's global
        seed set, as by `keras.utils.set_random_seed`, it then draws the same order each time.
        """
        if self.is_tf_keras or self.backend != "tensorflow":
            return False
        get_seed = sys.modules["tensorflow"].compat.v1.get_seed
        return bool(get_seed(1)[0] != NO_GLOBAL_SEED)

    @property
    def runs_python(self) -> bool:
        """Whether every step runs the Python code of the model instead of a traced function."""
        if self.backend == "tensorflow" and sys.modules["tensorflow"].config.functions_run_eagerly():
            return True
        return self.backend == "torch" or bool(self.model.run_eagerly)

    def train_functions(self) -> dict[str, Any]:
        """Returns the attributes of the model that hold compiled train functions, by name."""
        return {name: getattr(self.model, name) for name in TRAIN_FUNCTIONS if hasattr(self.model, name)}

    def put_back(self, functions: dict[str, Any], *, shared: bool) -> None:
        """Undoes `own_step_function`, and restores the train functions of the model.

        Args:
            functions: The return value of `train_functions`.
            shared: Whether the scan used the train function of `fit`. If that function was traced during the scan and
                holds its own random state, or the generator that `set_random_seed` replaces, `fit` must trace it again.
        """
        for name, value in functions.items():
            setattr(self.model, name, value)
        self._set_steps_per_execution(self._steps_per_execution)
        function = functions["train_function"]
        if shared and (self.has_stateful_randomness(function) or self._captures_global_generator(function)):
            self.model.train_function = None

    def needs_own_step(self, train_function: HostFunction) -> bool:
        """Returns whether a scan cannot use the `train_function` of `fit` unchanged."""
        return self.batches_per_execution > 1 or self.has_stateful_randomness(train_function)

    def own_step_function(self) -> HostFunction:
        """Returns a new train function that processes one batch per call."""
        functions = self.train_functions()
        with self._single_steps():
            self.model.make_train_function(force=True)
        own = self.model.train_function
        for name, value in functions.items():
            setattr(self.model, name, value)
        return own

    @contextlib.contextmanager
    def _single_steps(self) -> Iterator[None]:
        """Makes train functions process one batch; Keras 3 reads the number again when tracing, tf_keras in `fit`."""
        self._set_steps_per_execution(1)
        yield
        if self.is_tf_keras:
            self._set_steps_per_execution(self._steps_per_execution)

    def _set_steps_per_execution(self, number: int) -> None:
        if self._steps_variable is not None:
            self._steps_variable.assign(number)
        elif not self.is_tf_keras:
            self.model.steps_per_execution = number

    def _in_scope(self, make: Callable[[], Any]) -> Value:
        strategy = getattr(self.model, "distribute_strategy", None)
        if strategy is None:
            return make()
        with strategy.scope():
            return make()

    def _symbolic_input(self, spec: Tensor) -> Tensor:
        return self.library.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name)

    def _trace_call(self, inputs: Nest) -> None:
        """Traces the forward pass, which creates the weights without running it."""
        tensorflow = sys.modules["tensorflow"]
        call = tensorflow.function(lambda x: self.model(x, training=True))
        call.get_concrete_function(inputs)


class BufferVariable:
    """Gives a buffer of a torch module, such as a running mean, the methods of a variable.

    Args:
        tensor: The buffer, which is changed in place.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.value = tensor
        self.shape = tuple(tensor.shape)

    def numpy(self) -> Value:
        """Returns the value as an array."""
        return self.value.detach().cpu().numpy()

    def assign(self, value: Value) -> None:
        """Copies `value` into the tensor."""
        torch = sys.modules["torch"]
        with torch.no_grad():
            self.value.copy_(torch.from_numpy(value))


@contextlib.contextmanager
def keep_history(model: Model) -> Iterator[None]:
    """Keeps `model.history`, the record of the last training, although `fit` or `evaluate` inside would replace it."""
    before = vars(model).get("history", _MISSING)
    try:
        yield
    finally:
        if before is not _MISSING:
            model.history = before
        elif "history" in vars(model):
            del model.history


@contextlib.contextmanager
def keep_next_fit_first(model: Model) -> Iterator[None]:
    """Makes the next `fit` draw random numbers like the first one of a fresh model, although a `fit` runs inside.

    On JAX and torch, Keras takes a batch from the data to build a freshly compiled model before it calls any callback.
    If the data is shuffled, this draws random numbers in the first `fit` only.
    """
    loss = getattr(model, "_compile_loss", None)
    unused = loss is not None and not loss.built
    has_peek = hasattr(model, "_symbolic_build") and sys.modules["keras"].backend.backend() != "tensorflow"
    states = RandomStates()
    try:
        yield
    finally:
        states.restore()
        if has_peek and loss is not None and unused and not loss.metrics:  # or its metrics would be created twice
            loss.built = False


def _graph_functions(train_function: HostFunction) -> Iterator[Any]:
    """Yields the `tf.function` objects in a train function."""
    waiting, seen = [train_function], set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if hasattr(function, "_list_all_concrete_functions"):
            yield function
        inner = getattr(function, "python_function", function)
        inner = getattr(inner, "__wrapped__", inner)
        for cell in getattr(inner, "__closure__", None) or ():
            waiting += [cell.cell_contents] if callable(cell.cell_contents) else []


def _traces(train_function: HostFunction) -> Iterator[Any]:
    """Yields the traced graphs of a train function of TensorFlow."""
    for function in _graph_functions(train_function):
        yield from function._list_all_concrete_functions()  # noqa: SLF001 - there is no public method


def _op_types(concrete: HostFunction) -> set[str]:
    graph = concrete.graph.as_graph_def()
    own = {node.op for node in graph.node}
    return own.union(*({node.op for node in function.node_def} for function in graph.library.function))
