_base_ = './vgg16_ictcf.py'
# Few synthetic slices, hence no ImageNet weights and larger steps and batches.
data_root = 'data/phantom/ictcf'
image_size = (256, 256)
model = dict(backbone=dict(init_cfg=None), cls_head=dict(fc_channels=(256, 256)))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=4)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
