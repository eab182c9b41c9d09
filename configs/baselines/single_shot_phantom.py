_base_ = './single_shot.py'
# Few synthetic slices, hence no ImageNet weights and larger steps and batches.
data_root = 'data/phantom/cncb_ncov'
image_size = (256, 256)
model = dict(backbone=dict(init_cfg=None))
train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=4, dataset=dict(samples_per_class=None))
test_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=4, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
