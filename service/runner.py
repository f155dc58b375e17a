"""The ONNX graphs of a bundle, run by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from model_export.contract.bundle import GRAPHS, Bundle, GraphName
from model_export.contract.errors import BundleError

Tensors = Mapping[str, NDArray[Any]]


class GraphRunner:
    """ONNX Runtime sessions on the GPU where there is one, else on the CPU.

    Args:
        bundle: whose graphs to run.
        threads: threads inside an operator; ONNX Runtime would take every core of the host.

    Raises:
        BundleError: a graph cannot be loaded.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        usable = onnxruntime.get_available_providers()
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [provider for provider in wanted if provider in usable]
        self._sessions = {}
        for name in GRAPHS:
            path = bundle.graph(name)
            try:
                session = onnxruntime.InferenceSession(path, options, providers=providers)
            except Exception as error:  # ONNX Runtime raises one type for each of its status codes
                raise BundleError(f"the graph {path} cannot be loaded: {error}") from error
            self._sessions[name] = (
                session,
                [node.name for node in session.get_inputs()],
                [node.name for node in session.get_outputs()],
            )

    def run(self, name: GraphName, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs by name; `inputs` may hold more than the graph asks for."""
        session, taken, given = self._sessions[name]
        outputs = session.run(given, {key: inputs[key] for key in taken})
        return dict(zip(given, outputs, strict=True))
