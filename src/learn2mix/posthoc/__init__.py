"""What is done to a network that is trained: its logits corrected, or its last layer trained anew."""

from learn2mix.posthoc.lort import head_of, retargeted_cross_entropy, train_head_alone
from learn2mix.posthoc.post_hoc_logit_adjustment import LogitAdjusted, adjust_logits

__all__ = ["LogitAdjusted", "adjust_logits", "head_of", "retargeted_cross_entropy", "train_head_alone"]
