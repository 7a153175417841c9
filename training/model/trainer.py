"""trl's trainer with a cheaper loss, and batches that don't depend on the number of processes."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTTrainer

from training.data.examples import IGNORED

# Logits held at once. On a CPU 16 MB, which the allocator reuses; larger blocks cost page faults.
TILE = {"cpu": 1 << 22, "cuda": 1 << 26}
# Batches are padded to a multiple of this, because oneDNN compiles and keeps bf16 kernels for every new shape: a
# gigabyte in 30 steps of 16 examples.
PAD_TO = 32


class SmallMaskDropout(torch.nn.Dropout):
    """Dropout with a mask of one byte per value, as on a GPU; torch's own takes four on a CPU."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(values, self.p, True)[0] if self.training else values


class CompletionTrainer(SFTTrainer):
    """trl's trainer with a cheaper way to the same loss.

    Padding is on the right, so causal attention needs no mask, and without one the kernels skip half of the work. The
    head projects only the tokens of answers, in tiles; trl also projects prompt and padding, and all of it again in the
    backward pass.
    """

    model: PreTrainedModel | PeftModel
    train_dataset: Dataset

    def __init__(self, model: PreTrainedModel | PeftModel, *given: Any, **named: Any) -> None:
        super().__init__(model, *given, **named)
        for part in self.model.modules():
            if type(part) is torch.nn.Dropout:
                part.__class__ = SmallMaskDropout

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if return_outputs or not self.head_is_plain:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        ids, labels = inputs["input_ids"], inputs["labels"]
        total = tiled_loss(model, self.model.get_output_embeddings().weight, ids, labels)
        if num_items_in_batch is None:
            return total / (labels[:, 1:] != IGNORED).sum()
        # The number of items is that of all processes, and their gradients are averaged.
        return total / num_items_in_batch * self.accelerator.num_processes

    @cached_property
    def head_is_plain(self) -> bool:
        """Whether logits are hidden states times the weight of the head, without a bias, scale or cap."""
        ids = torch.arange(8, device=self.model.device)[None]
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            output = self.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            head = self.model.get_output_embeddings().weight
            product = output.hidden_states[-1].to(head.dtype) @ head.T
        self.model.train(training)
        return bool((product - output.logits).abs().max() <= 0.01 * output.logits.abs().max())

    def _get_train_sampler(self, train_dataset: Any = None) -> "GroupedByLength":
        """Examples of similar length together; the same steps with any number of processes, and after a resume."""
        per_step = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return GroupedByLength(
            per_step, self.train_dataset["length"], lambda: self.args.seed + int(self.state.epoch or 0)
        )


class GroupedByLength(LengthGroupedSampler):
    """transformers' sampler in an order that depends only on seed and epoch, not on torch's global generator."""

    def __init__(self, batch_size: int, lengths: list[int], seed: Callable[[], int]) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed())
        return super().__iter__()


def tiled_loss(model: torch.nn.Module, head: torch.Tensor, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Summed loss of a batch, computed in tiles; head: [vocabulary, hidden]."""
    none = torch.empty(0, dtype=torch.long, device=ids.device)
    output = model(input_ids=ids, use_cache=False, logits_to_keep=none, output_hidden_states=True)
    hidden, wanted = output.hidden_states[-1][:, :-1], labels[:, 1:]
    counts = wanted != IGNORED
    return HeadLoss.apply(hidden[counts].to(head.dtype), head, wanted[counts])


class HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen head: hidden [tokens, hidden], weight [vocabulary, hidden], labels [tokens].

    Computes the gradient of `hidden` in the forward pass, tile by tile, so that logits are neither kept nor recomputed.
    Source: Hsu et al. 2024, "Liger Kernel: Efficient Triton Kernels for LLM Training", section 3.2.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = max(TILE.get(hidden.device.type, TILE["cpu"]) // len(weight), 1)
        for start in range(0, len(hidden), rows):
            tile = slice(start, start + rows)
            count = len(labels[tile])
            filler = -count % min(rows, 128)  # few different sizes, see PAD_TO
            wanted = functional.pad(labels[tile], (0, filler))[:, None]
            log_p = torch.log_softmax(functional.pad(hidden[tile], (0, 0, 0, filler)) @ weight.T, -1, torch.float32)
            total -= log_p.gather(1, wanted)[:count].sum()
            if gradient is not None:
                difference = log_p.exp_().scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=torch.float32))
                gradient[tile] = (difference.to(weight.dtype) @ weight)[:count]
        ctx.gradient = gradient
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient * scale.to(ctx.gradient.dtype), None, None
