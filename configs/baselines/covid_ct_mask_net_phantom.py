_base_ = './covid_ct_mask_net.py'
# Few synthetic slices, hence larger steps and batches.
data_root = 'data/phantom/cncb_ncov'
image_size = (256, 256)
train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=4, dataset=dict(samples_per_class=None))
test_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=4, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
load_from = 'work_dirs/mask_rcnn_full_phantom/epoch_8.pth'
