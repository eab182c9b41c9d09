# What every run shares. Importing mmaffinity registers its modules in MMDetection's registries.
custom_imports = dict(imports=['mmaffinity'], allow_failed_imports=False)
default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Computes mean and std of the training slices where the data set has no statistics.json.
    statistics=dict(type='GreyLevelStatisticsHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# Each stage leaves some parameters without gradient.
find_unused_parameters = True

# TensorBoard, in a leaf config (and the extra `tensorboard`):
# visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
# Without a name of its own: each run in a process then has one, and logs into its own folder.
visualizer = dict(type='SliceVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)
# Training and test write the SHA-256 over the files of their data into what they leave; False spares a slow network drive.
hash_files = True
