"""ONNX: one file, inputs `x` or `input_ids` and `attention_mask`, output `logits` or `values`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.errors import RunFailedError
from ftune.exports.atomic_target import write_file
from ftune.exports.export_model import Batch, ExportModel
from ftune.exports.graph import Graph, first_line, named, trace
from ftune.log_suppression import quiet

LARGEST = 2**31 - 2**24  # bytes of weights that one protocol buffer holds beside the graph


def write(export_model: ExportModel, path: Path) -> list[str]:
    """Weights stay in the file below 2 GB, else they lie beside it."""
    graph = trace(export_model)
    weights = sum(t.numel() * t.element_size() for t in export_model.plain.state_dict().values())
    with quiet():
        program = _converted(graph)
        for name, fact in export_model.about().items():
            program.model.metadata_props[name] = fact
        if weights < LARGEST:
            write_file(path, program.model_proto.SerializeToString())
            return []
        program.save(path, external_data=True)
    return [f"above 2 GB: the weights lie beside, in {path.name}.data"]


def _converted(graph: Graph) -> Any:
    """torch's ONNXProgram. Raises RunFailedError for what ONNX has no operator for."""
    try:
        program: Any = torch.onnx.export(graph.program, output_names=[graph.output], verbose=False)
    except Exception as error:
        raise RunFailedError(f"torch.onnx cannot write this model: {first_line(error)}") from None
    sizes = zip(program.model.graph.inputs[0].shape, ("batch", "time"), strict=False)
    program.rename_axes({size: name for size, name in sizes if not isinstance(size, int)})
    return program


def read(path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
    """What onnxruntime computes on the CPU, after onnx has checked the file."""
    import onnx
    import onnxruntime

    del export_model
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {given.name for given in session.get_inputs()}

    def run(batch: Batch) -> Tensor:
        given = {k: t.numpy() for k, t in named(batch).items() if k in inputs}
        return torch.from_numpy(session.run(None, given)[0])

    return run
