"""The trainer: trl's, with batches that several processes share alike, and a loss that costs less."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTTrainer

from training.data.examples import IGNORED

# Logits held at once. 16 MB on a CPU, which the allocator reuses: larger blocks cost a page fault a page.
TILE = {"cpu": 1 << 22, "cuda": 1 << 26}
# Batches are padded to a multiple of this: for every new shape oneDNN compiles and keeps its bf16 products, a gigabyte
# in 30 steps of 16 examples.
SAME_SHAPES = 32


class SmallMaskDropout(torch.nn.Dropout):
    """Dropout that keeps its mask in a byte a value, as on a GPU; on a CPU torch's own takes four for the same mask."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(values, self.p, True)[0] if self.training else values


class CompletionTrainer(SFTTrainer):
    """trl's trainer with a cheaper way to the same loss.

    Padding is on the right, so causal attention needs no mask, and without one its kernels skip half of the work. The
    head projects the tokens of answers alone, tile by tile; trl's projects prompt and padding too, and all of it again
    in the backward pass.
    """

    def __init__(self, model: torch.nn.Module, *given: Any, **named: Any) -> None:
        super().__init__(model, *given, **named)
        for part in self.model.modules():
            if type(part) is torch.nn.Dropout:
                part.__class__ = SmallMaskDropout

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        ids, labels = inputs["input_ids"], inputs["labels"]
        if self.head_is_plain:
            total = tiled_loss(model, self.model.get_output_embeddings().weight, ids, labels)
        else:
            total = whole_loss(model, ids, labels)
        if num_items_in_batch is None:
            return total / (labels[:, 1:] != IGNORED).sum()
        # counted over all processes, whose gradients are then averaged
        return total / num_items_in_batch * self.accelerator.num_processes

    @cached_property
    def head_is_plain(self) -> bool:
        """Whether logits are hidden states times the head's weight, without the bias, scale or cap of some models."""
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
        """Examples of like length together; the same steps however many processes share them, or after a resume."""
        per_step = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return GroupedByLength(
            per_step, self.train_dataset["length"], lambda: self.args.seed + int(self.state.epoch or 0)
        )


class GroupedByLength(LengthGroupedSampler):
    """transformers' sampler with an order that only seed and epoch decide, not what was drawn from torch before."""

    def __init__(self, batch_size: int, lengths: list[int], seed: Callable[[], int]) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed())
        return super().__iter__()


def whole_loss(model: torch.nn.Module, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Summed loss of a batch from all logits, for heads that do more than multiply."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )


def tiled_loss(model: torch.nn.Module, head: torch.Tensor, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Summed loss of a batch; head: [vocabulary, hidden]. Called through all that wraps the model."""
    none = torch.empty(0, dtype=torch.long, device=ids.device)
    output = model(input_ids=ids, use_cache=False, logits_to_keep=none, output_hidden_states=True)
    hidden, wanted = output.hidden_states[-1][:, :-1], labels[:, 1:]
    counts = wanted != IGNORED
    return HeadLoss.apply(hidden[counts].to(head.dtype), head, wanted[counts])


class HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen head: hidden [tokens, hidden], weight [vocabulary, hidden], labels [tokens].

    Works through tiles of tokens and leaves the gradient of `hidden` behind, so that no logits are kept or made again.
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
            filler = -count % min(rows, 128)  # few sizes of tiles, see SAME_SHAPES
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
