# COVIDx-CT, any version (`mmaffinity convert covidx-ct`): slice labels only, because it has no lesion masks. 82 % of the
# training slices of version 3A are COVID-19, so the same number is drawn from each class; every version has enough.
_base_ = './cncb_ncov_slices.py'
data_root = '{{$COVIDX_CT_ROOT:data/covidx_ct}}'
train_dataloader = dict(batch_size=16, dataset=dict(samples_per_class=10000))
val_dataloader = dict(batch_size=16, dataset=dict(samples_per_class=1000))
test_dataloader = dict(batch_size=16)
