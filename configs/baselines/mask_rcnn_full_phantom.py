_base_ = './mask_rcnn_full.py'
# Few synthetic slices, hence no ImageNet weights and larger steps and batches.
data_root = 'data/phantom/cncb_ncov'
image_size = (256, 256)
model = dict(backbone=dict(init_cfg=None))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=8)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
default_hooks = dict(checkpoint=dict(interval=1))
