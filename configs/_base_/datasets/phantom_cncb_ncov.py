# The phantom in CNCB-NCOV's layout: synthetic slices of 256 x 256 from tools/dataset_converters/phantom.py, converted by
# tools/dataset_converters/cncb_ncov.py. It replaces data that may not be redistributed and is never a source of results.
_base_ = './cncb_ncov.py'
data_root = 'data/phantom/cncb_ncov'
image_size = (288, 288)
train_dataloader = dict(batch_size=2, sampler=dict(segmentation_epochs=1))
val_dataloader = dict(batch_size=4, dataset=dict(samples_per_class=None))
test_dataloader = dict(batch_size=4)
