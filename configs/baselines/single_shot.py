# Table 4: Single-Shot Model. Stages alternate as in the affinity model; the branch is copied when the loss is the best so far.
_base_ = [
    '../_base_/models/single_shot_r18.py',
    '../_base_/datasets/cncb_ncov.py',
    '../_base_/schedules/alternating_100e.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(alternation=dict(copy='best'))
