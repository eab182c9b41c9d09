"""The phantom: synthetic slices that look like chest CT, so that everything runs without patient data.

Normal, common pneumonia and COVID-19 slices with lesion masks are written in the raw layouts of CNCB-NCOV, iCTCF and COVIDx-CT.
The phantom stands in for data that may not be redistributed. Scores on it show that the code works but say nothing about
disease: it is never a source of results.
"""
