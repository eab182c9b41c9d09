# Phantom configs use no ImageNet weights, so the frozen backbone comes from a trained affinity model.
_base_ = './mask_rcnn_heads_only.py'
data_root = 'data/phantom/cncb_ncov'
image_size = (256, 256)
model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/affinity_c8_phantom/epoch_3.pth', prefix='backbone.')))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=8)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
default_hooks = dict(checkpoint=dict(interval=1))
