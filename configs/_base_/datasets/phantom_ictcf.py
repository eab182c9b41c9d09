# The phantom in iCTCF's layout: synthetic slices of 256 x 256 from tools/dataset_converters/phantom.py, converted by
# tools/dataset_converters/ictcf.py. It replaces data that may not be redistributed and is never a source of results.
_base_ = './ictcf.py'
data_root = 'data/phantom/ictcf'
image_size = (288, 288)
train_dataloader = dict(batch_size=2)
test_dataloader = dict(batch_size=4)
