"""Adam without the preparations for torch.compile, which take about as long as importing torch.

Methods of torch's optimisers are wrapped so that torch.compile does not trace them, and the wrappers import
torch._dynamo in every process. The optimiser is never compiled here, so the methods are used without their wrappers.
"""

from inspect import unwrap

import torch
from torch.optim import Adam


class EagerAdam(Adam):
    """Adam with the same steps and states as torch's."""

    add_param_group = unwrap(Adam.add_param_group)
    load_state_dict = unwrap(Adam.load_state_dict)
    state_dict = unwrap(Adam.state_dict)
    step = torch.no_grad()(unwrap(Adam.step))
    zero_grad = unwrap(Adam.zero_grad)
