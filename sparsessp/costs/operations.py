"""Floating-point operations by torch's formulas, without what its own counter imports."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class OperationCounter(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products that run in a `with` block.

    torch's FlopCounterMode counts the same, but imports torch._dynamo, which takes as long as importing torch.

    Attributes:
        total: Floating-point operations so far; a multiply-accumulate is two.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run and count one operator, or count the operators that it is composed of."""
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        result = func(*args, **kwargs)
        self.total += formula(*args, **kwargs, out_val=result)
        return result
