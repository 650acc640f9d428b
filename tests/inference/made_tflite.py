"""Small .tflite files made on the spot: one float tensor shape, operators by name, constants by value."""

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPTIONS = {
    "ADD": (schema.BuiltinOptions.AddOptions, schema.AddOptionsT),
    "MUL": (schema.BuiltinOptions.MulOptions, schema.MulOptionsT),
    "SUB": (schema.BuiltinOptions.SubOptions, schema.SubOptionsT),
    "PACK": (schema.BuiltinOptions.PackOptions, schema.PackOptionsT),
    "RESHAPE": (schema.BuiltinOptions.ReshapeOptions, schema.ReshapeOptionsT),
}
_TYPES = {"float32": schema.TensorType.FLOAT32, "float16": schema.TensorType.FLOAT16}
_TYPES |= {
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
    "string": schema.TensorType.STRING,
}


@dataclass
class Made:
    """A model under construction; tensors are added first, ``content`` writes it."""

    shape: tuple[int, ...] = (1, 4)
    inputs: tuple[str, ...] = ("x",)
    outputs: tuple[str, ...] = ("y",)
    tensors: dict[str, Any] = field(default_factory=dict)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    codes: list[str] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    document: Any = field(default_factory=schema.ModelT)

    def tensor(self, name: str, *, shape=None, dtype: str = "float32") -> Any:
        """The tensor of this name, made at its first mention."""
        if name not in self.tensors:
            made = schema.TensorT()
            made.name, made.type, made.buffer = name, _TYPES[dtype], 0
            made.shape = np.array(self.shape if shape is None else shape, np.int32)
            self.tensors[name] = made
        return self.tensors[name]

    def constant(self, name: str, values: np.ndarray) -> None:
        """Store an array under a name."""
        made = self.tensor(name, shape=values.shape, dtype=values.dtype.name)
        made.buffer = len(self.buffers)
        self.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))

    def operator(self, kind: str, inputs, outputs, *, custom: str | None = None) -> Any:
        """Append an operator; tensors that are not known yet get the model's shape."""
        key = custom or kind
        if key not in self.codes:
            self.codes.append(key)
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.customCode = custom
            code.version = 1
            self.document.operatorCodes = [*(self.document.operatorCodes or []), code]
        made = schema.OperatorT()
        made.opcodeIndex = self.codes.index(key)
        for name in (*inputs, *outputs):
            self.tensor(name)
        order = list(self.tensors)
        made.inputs = np.array([order.index(name) for name in inputs], np.int32)
        made.outputs = np.array([order.index(name) for name in outputs], np.int32)
        if kind in _OPTIONS:
            made.builtinOptionsType, options = _OPTIONS[kind]
            made.builtinOptions = options()
        self.operators.append(made)
        return made

    def content(self) -> bytes:
        """The file."""
        for name in (*self.inputs, *self.outputs):
            self.tensor(name)
        order = list(self.tensors)
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = list(self.tensors.values()), self.operators
        graph.inputs = np.array([order.index(name) for name in self.inputs], np.int32)
        graph.outputs = np.array([order.index(name) for name in self.outputs], np.int32)
        self.document.version, self.document.subgraphs, self.document.buffers = 3, [graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.document.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
